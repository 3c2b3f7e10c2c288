"""From stores of uint8 pictures to normalised batches: draws, one warp, one change of light."""
