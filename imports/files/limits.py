"""The most that a reader takes; each bound keeps memory flat or an answer clear."""

import csv

MAX_COLUMNS = 2_000
MAX_CELL_CHARS = 32_767  # what a spreadsheet cell can hold
MAX_RECORD_LINES = 1_000
MAX_RECORD_CHARS = 1_000_000
MAX_ITEM_CHARS = 4_000_000  # one JSON item
SAMPLE_ROWS = 300
HEADER_ROWS = 30  # the header is looked for among these
MAX_NAME_CHARS = 200

# csv's own limit (131,072) would end a long record with an error that says neither column nor length.
csv.field_size_limit(max(csv.field_size_limit(), 2 * MAX_RECORD_CHARS))
