"""What we learn from: embedded generators and users' files."""

from frisket.data.base import Batch, Data, Info, Source, Stream, parse_data

__all__ = ["Batch", "Data", "Info", "Source", "Stream", "parse_data"]
