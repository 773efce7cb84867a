"""What the maps of a dataset say about each Gaussian after a training: its object, its normal, and its colour without light.

A pixel's colour is the sum of alpha times transmittance times the Gaussians' colours. So the same weights, summed over pixels with a map
in place of the image (Model.contribution), tell what each Gaussian shows.
"""
