"""Asks the API for orders and mails their number."""

import datetime
import email.message
import json
import os
import smtplib
import urllib.request

try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task


@dag(schedule="@once", start_date=datetime.datetime(2024, 1, 1), catchup=False)
def orders():
    @task
    def fetch():
        with urllib.request.urlopen(os.environ["ORDERS_URL"], timeout=30) as response:
            return json.load(response)

    @task
    def send_mail(found):
        message = email.message.EmailMessage()
        message["From"], message["To"] = "airflow@example.org", "shop@example.org"
        message["Subject"] = f"{len(found)} orders"
        message.set_content("\n".join(f"{order['count']} x {order['item']}" for order in found))
        with smtplib.SMTP("127.0.0.1", int(os.environ["MAIL_PORT"])) as server:
            server.send_message(message)

    send_mail(fetch())


orders()
