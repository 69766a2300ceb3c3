"""Embedders: what turns a text into a vector."""

from __future__ import annotations

from tickwork.documents.embedders.base import Embedder, embed
from tickwork.documents.embedders.hashed import HashEmbedder
from tickwork.documents.embedders.onnx import MiniLM, OnnxEmbedder
from tickwork.documents.embedders.sentences import SentenceTransformerEmbedder

__all__ = ["Embedder", "HashEmbedder", "MiniLM", "OnnxEmbedder", "SentenceTransformerEmbedder", "embed"]
