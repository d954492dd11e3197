"""An API of teas."""

from fastapi import FastAPI

app = FastAPI()
TEAS = ["assam", "sencha", "oolong"]


@app.get("/api/teas")
def teas() -> list[str]:
    """List them."""
    return TEAS


@app.get("/health")
def health() -> dict[str, bool]:
    """Answer the readiness probe."""
    return {"ok": True}
