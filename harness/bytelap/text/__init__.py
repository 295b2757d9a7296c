"""Documents with a fixed split and a hash, lossless vocabularies, and samplers over memory-mapped token streams."""
