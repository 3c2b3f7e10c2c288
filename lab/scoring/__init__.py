"""What a trained stage says of pictures: loaded and verified, scored, averaged over views."""
