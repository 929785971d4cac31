"""Run in a process of its own: one job with an older kafka-python.

old_client.py FOLDER produce ADDRESS TOPIC VALUE...
old_client.py FOLDER consume ADDRESS TOPIC COUNT
"""

import sys
import time

SECONDS = 20.0


def main() -> int:
    folder, job, address, topic, *rest = sys.argv[1:]
    sys.path.insert(0, folder)
    import kafka

    assert kafka.__file__.startswith(folder), kafka.__file__
    if job == "produce":
        producer = kafka.KafkaProducer(bootstrap_servers=address, acks="all")
        for value in rest:
            print(producer.send(topic, value.encode(), partition=0).get(timeout=SECONDS).offset)
        producer.close()
        return 0
    consumer = kafka.KafkaConsumer(bootstrap_servers=address, group_id=None, auto_offset_reset="earliest")
    consumer.assign([kafka.TopicPartition(topic, 0)])
    consumer.seek_to_beginning()
    wanted, deadline = int(rest[0]), time.monotonic() + SECONDS
    seen = 0
    while seen < wanted and time.monotonic() < deadline:
        for records in consumer.poll(timeout_ms=500).values():
            for record in records:
                print(record.value.decode())
                seen += 1
    consumer.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
