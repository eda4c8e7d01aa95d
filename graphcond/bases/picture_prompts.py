"""What diffusers' Stable Diffusion pipelines do with the pictures that IP-Adapters read."""

from __future__ import annotations

from diffusers import StableDiffusionPipeline
from diffusers.loaders import IPAdapterMixin


class PicturePrompts(IPAdapterMixin):
    """The loader of IP-Adapters, and what diffusers' pipelines make of the pictures that these read."""

    encode_image = StableDiffusionPipeline.encode_image
    prepare_ip_adapter_image_embeds = StableDiffusionPipeline.prepare_ip_adapter_image_embeds
