"""Writing rollups: dirty buckets in, recomputed buckets out."""
