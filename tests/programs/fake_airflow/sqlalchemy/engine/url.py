class make_url:
    def __init__(self, url):
        self.database = url.partition(":///")[2]
