"""Whether a database on a server is as the last start left it: where its URL is found, and that it is not kept."""

import pytest

from orchestrator.presets.airflow.inside import database_fingerprint

URL = "postgresql+psycopg2://airflow:s3%cr3t@db/airflow"


def test_the_record_has_no_url_and_no_two_records_are_alike():
    first, second = database_fingerprint.digest(URL), database_fingerprint.digest(URL)
    assert first != second
    assert "s3" not in first.partition("$")[2] or "cr3t" not in first
    for known in (first, second):
        assert database_fingerprint.is_digest_of(URL, known)
        assert not database_fingerprint.is_digest_of(URL + "2", known)
    assert not database_fingerprint.is_digest_of(URL, "")


@pytest.mark.parametrize(
    ("config", "environment"),
    [
        ("", {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": URL}),
        ("", {"AIRFLOW__CORE__SQL_ALCHEMY_CONN": URL}),
        (f"[database]\nsql_alchemy_conn = {URL}\n", {}),
        (f"[core]\nsql_alchemy_conn = {URL}\n", {}),
        (f"[database]\nsql_alchemy_conn = {URL.replace('%', '%%')}\n", {}),
        ("[database]\nsql_alchemy_conn = sqlite:////h/airflow.db\n", {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": URL}),
    ],
)
def test_the_url_is_found_where_airflow_finds_it(tmp_path, config, environment):
    path = tmp_path / "airflow.cfg"
    path.write_text(config)
    known = database_fingerprint.digest(URL)
    found = list(database_fingerprint.configured(str(path), environment))
    assert next(url for url in found if database_fingerprint.is_digest_of(url, known)) == URL


def test_variables_in_the_url_are_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("DB_HOST", "db")
    path = tmp_path / "airflow.cfg"
    path.write_text("[database]\nsql_alchemy_conn = mysql://$DB_HOST/airflow\n")
    assert "mysql://db/airflow" in list(database_fingerprint.configured(str(path), {}))
    assert "" in list(database_fingerprint.configured(str(tmp_path / "none"), {}))
