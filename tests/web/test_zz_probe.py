import time
from app.wire.messages import JOBS
from tests.web.conftest import *
async def test_a(site):
    print(site.ask("GET", JOBS))
    print(site.ask("GET", JOBS+"?limit=%C2%B2"))
    print(site.ask("GET", JOBS+"?before=%C2%B2-a"))
    print(ask(site.port(), NOBODY, "GET", JOBS))
    j = site.submit()
    print(site.ask("GET", JOBS+"/"+j+"/log?after=5-abc"))
    print(site.ask("GET", JOBS+"/"+j+"/log?after=99999999999999999999999-0"))
    print(site.ask("POST", JOBS, b'{"a":"\\ud800"}'))
    print(say(site.port(), request("GET", "/v1/nothing", [])))
    print(say(site.port(), request("DELETE", "/v1/jobs", [])))
    print(say(site.port(), request("GET", f"/v1/jobs/{j}/attach", [])))
    print(say(site.port(), handshake(None, f"/v1/jobs/{j}/attach")))
    print(say(site.port(), handshake(site.client, f"/v1/jobs")))
    print(say(site.port(), request("GET", "http://localhost/v1/jobs", site.client.sign("GET","/v1/jobs"))))
    print(say(site.port(), request("GET", "/v1/jobs#frag", site.client.sign("GET","/v1/jobs"))))
    print(say(site.port(), request("GET", "/v1/jobs", site.client.sign("GET","/v1/jobs"), host="a/v1/workers?")))
