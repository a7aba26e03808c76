"""PostgreSQL and Valkey from pip wheels, for machines that have neither.

`ensure_servers(data_dir)` makes both answer and keeps them up for as long as the calling process lives.
A detached keeper process per data directory owns them and stops them after their last user has gone.
Nothing here imports Django: this runs before settings are read.
"""

from leadscore.embedded.client import ensure_keeper, ensure_servers, running_endpoints
from leadscore.embedded.layout import EmbeddedError, Endpoints, Layout, default_data_dir

__all__ = [
    "EmbeddedError",
    "Endpoints",
    "Layout",
    "default_data_dir",
    "ensure_keeper",
    "ensure_servers",
    "running_endpoints",
]
