"""Boxes as offsets from references, and the losses that such offsets can be fitted with."""

from bootstrap_det.refinement.base import BoxLoss
from bootstrap_det.refinement.losses import available_losses, box_loss, make_loss
from bootstrap_det.refinement.offsets import decode, encode

__all__ = ["BoxLoss", "available_losses", "box_loss", "decode", "encode", "make_loss"]
