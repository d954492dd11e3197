from shop.tasks import app

__all__ = ["app"]
