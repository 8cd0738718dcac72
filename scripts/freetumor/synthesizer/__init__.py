"""Learning to paint: segmenter, generator and discriminator, and the parts of a synthesizer."""
