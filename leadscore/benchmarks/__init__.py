"""What `manage.py benchmark NAME` measures, each on a scratch database of its own, against floors of the same run."""
