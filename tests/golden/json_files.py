"""JSON as it is committed: ASCII only, so that no editor or checkout can change a text."""

import json


def write_json(path, value):
    """An indented file, for configurations."""
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="ascii", newline="\n")


def write_json_lines(path, items):
    """An array with one item a line, for data."""
    lines = ",\n".join(json.dumps(item) for item in items)
    path.write_text(f"[\n{lines}\n]\n", encoding="ascii", newline="\n")


def write_compact_lines(path, items):
    """The same without spaces, for data that nobody reads."""
    lines = ",\n".join(json.dumps(item, separators=(",", ":")) for item in items)
    path.write_text(f"[\n{lines}\n]\n", encoding="ascii", newline="\n")
