"""Every image and version that this project chooses by itself, in one place."""

# renovate: datasource=docker depName=vllm/vllm-openai
VLLM_IMAGE = "docker.io/vllm/vllm-openai:v0.11.0"

# renovate: datasource=docker depName=python
SIMULATOR_IMAGE = "docker.io/library/python:3.12.11-slim-bookworm"
