"""redis-py, blocking and asyncio, with version 2 or 3 of the protocol.

Says what it hears, a line each; tests/redis.rs reads that.
Usage: redis_py.py PORT sync|asyncio 2|3
"""

import asyncio
import sys

import redis
import redis.asyncio

PORT, STYLE, VERSION = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
OPTIONS = {"port": PORT, "protocol": VERSION, "decode_responses": True, "client_name": "redis-py"}
PATIENCE = 20


def say(*words):
    print(*words, flush=True)


def blocking():
    client = redis.Redis(**OPTIONS)
    assert client.ping() and client.echo("x") == "x" and "redis_version" in client.info()
    pubsub = client.pubsub(ignore_subscribe_messages=True)
    pubsub.subscribe("talk")
    pubsub.psubscribe("ta*")
    for _ in range(2):
        pubsub.get_message(timeout=PATIENCE)
    say("subscribed")
    for _ in range(2):
        message = pubsub.get_message(timeout=PATIENCE)
        say(message["type"], message["pattern"], message["channel"], message["data"])
    # The member in text, and this client under two names.
    say("published", client.publish("talk", "hello from redis-py"))
    pubsub.unsubscribe()
    pubsub.punsubscribe()
    pipe = client.pipeline(transaction=False)
    for n in range(3):
        pipe.xadd("log", {"n": n, "style": STYLE})
    say("added", *pipe.execute())
    say("range", client.xrange("log", count=1), client.xlen("log"))
    try:
        client.get("x")
    except redis.ResponseError as error:
        say("error", error)
    say("rank", client.execute_command("CHECK", "talk", "1") is not None)


async def waiting():
    client = redis.asyncio.Redis(**OPTIONS)
    assert await client.ping()
    pubsub = client.pubsub(ignore_subscribe_messages=True)
    await pubsub.subscribe("talk")
    await pubsub.psubscribe("ta*")
    for _ in range(2):
        await pubsub.get_message(timeout=PATIENCE)
    say("subscribed")
    for _ in range(2):
        message = await pubsub.get_message(timeout=PATIENCE)
        say(message["type"], message["pattern"], message["channel"], message["data"])
    say("published", await client.publish("talk", "hello from redis-py"))
    await pubsub.aclose()
    pipe = client.pipeline(transaction=False)
    for n in range(3):
        pipe.xadd("log", {"n": n, "style": STYLE})
    say("added", *await pipe.execute())
    say("range", await client.xrange("log", count=1), await client.xlen("log"))
    try:
        await client.get("x")
    except redis.ResponseError as error:
        say("error", error)
    say("rank", await client.execute_command("CHECK", "talk", "1") is not None)
    await client.aclose()


if STYLE == "sync":
    blocking()
else:
    asyncio.run(waiting())
say("end")
