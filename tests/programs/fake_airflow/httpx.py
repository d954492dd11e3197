"""What a task's call needs of httpx: proxies by environment, and any status as an answer."""

import urllib.error
import urllib.parse
import urllib.request


class Client:
    def __init__(self, base_url, timeout, headers):
        self.base_url, self.timeout, self.headers = base_url, timeout, headers

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def get(self, path, params):
        url = f"{self.base_url.rstrip('/')}/{path}?{urllib.parse.urlencode(params)}"
        try:
            return Response(
                urllib.request.urlopen(urllib.request.Request(url, headers=self.headers), timeout=self.timeout)
            )
        except urllib.error.HTTPError as error:
            return Response(error)


class Response:
    def __init__(self, answer):
        self.status_code, self.headers, self.content = answer.status, answer.headers, answer.read()
