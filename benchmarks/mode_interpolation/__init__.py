"""The trajectory variance on mixtures of Gaussians and on simple shapes."""
