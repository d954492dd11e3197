import os

SECRET_KEY = "for development only"
ALLOWED_HOSTS = ["127.0.0.1"]
DEBUG = False
ROOT_URLCONF = "shop.urls"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "postgres",
        "USER": "shop",
        "HOST": os.environ["PGHOST"],
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
REDIS = f"redis+socket://{os.environ['RUN']}/redis.sock"
