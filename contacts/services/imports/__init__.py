"""Files of people and places: read, mapped, tried, brought in set-based and resumable by row, and taken back within a day."""
