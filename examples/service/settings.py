"""Where the service keeps what it knows, which folder it watches, and which language model it may ask."""

import os
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]

VAR = Path(os.environ.get("SERVICE_VAR", CHECKOUT / "var")).resolve()
FOLDER = Path(os.environ.get("SERVICE_FOLDER", CHECKOUT)).resolve()

VAR.mkdir(parents=True, exist_ok=True)

MODEL_URL = os.environ.get("OPENAI_BASE_URL", "").rstrip("/")
"""Such as http://localhost:11434/v1. Empty: answers are quotes, and no model is asked."""
MODEL = os.environ.get("OPENAI_MODEL", "gpt-4o-mini")
MODEL_KEY = os.environ.get("OPENAI_API_KEY", "")
