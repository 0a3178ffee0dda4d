"""Training: clips, masks, losses, discriminator, loop."""
