"""The Celery application and its one task, which writes to the database."""

from celery import Celery

from shop import settings

app = Celery("shop", broker=settings.REDIS, backend=settings.REDIS)
app.conf.broker_connection_retry_on_startup = True


@app.task
def register(name: str) -> int:
    """Add a user; return how many there are."""
    import django
    from django.apps import apps

    if not apps.ready:
        django.setup()
    from django.contrib.auth.models import User

    User.objects.get_or_create(username=name)
    print(f"registered {name}")
    return User.objects.count()
