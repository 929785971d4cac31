import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.AcknowledgeType;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicIdPartition;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.NotLeaderOrFollowerException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** The program of the Java client; with the system property group.protocol=consumer its groups speak KIP-848. */
public final class Client {
    private static final Duration POLL = Duration.ofMillis(50);

    private final Map<String, String> named;

    private Client(Map<String, String> named) {
        this.named = named;
    }

    public static void main(String[] arguments) throws Exception {
        Map<String, String> named = new HashMap<>();
        for (String argument : Arrays.asList(arguments).subList(1, arguments.length)) {
            String[] parts = argument.split("=", 2);
            named.put(parts[0], parts[1]);
        }
        Client client = new Client(named);
        switch (arguments[0]) {
            case "produce" -> client.produce();
            case "read" -> client.read();
            case "member" -> client.member();
            case "share" -> client.share();
            case "transact" -> client.transact();
            case "copy" -> client.copy();
            case "admin" -> client.admin();
            default -> throw new IllegalArgumentException(arguments[0]);
        }
    }

    private void produce() throws Exception {
        try (KafkaProducer<String, String> producer = producer(Map.of("acks", "all"))) {
            int partitions = Integer.parseInt(named.get("partitions"));
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (String value : named.get("values").split(",")) {
                sent.add(producer.send(new ProducerRecord<>(named.get("topic"), sent.size() % partitions, null, value)));
            }
            for (Future<RecordMetadata> future : sent) {
                RecordMetadata written = future.get();
                say("produced", "\"partition\":" + written.partition() + ",\"offset\":" + written.offset());
            }
        }
    }

    private void read() {
        Map<String, String> options = Map.of(
            "client.rack", named.getOrDefault("rack", ""),
            "isolation.level", named.getOrDefault("isolation", "read_uncommitted"));
        try (KafkaConsumer<String, String> consumer = consumer(options)) {
            consumer.assign(List.of(new TopicPartition(named.get("topic"), 0)));
            for (int left = Integer.parseInt(named.get("count")); left > 0; ) {
                ConsumerRecords<String, String> records = consumer.poll(POLL);
                records.forEach(Client::sayRecord);
                left -= records.count();
            }
        }
    }

    private void member() throws Exception {
        AtomicBoolean ended = inputEnded();
        try (KafkaConsumer<String, String> consumer = consumer(group())) {
            consumer.subscribe(List.of(named.get("topic")), new Listener(consumer));
            while (!ended.get()) {
                ConsumerRecords<String, String> records = consumer.poll(POLL);
                records.forEach(Client::sayRecord);
                if (!records.isEmpty()) {
                    consumer.commitSync();
                    say("committed", "");
                }
            }
        }
    }

    /** Says what is assigned after every rebalance. */
    private record Listener(KafkaConsumer<String, String> consumer) implements ConsumerRebalanceListener {
        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> revoked) {
            List<TopicPartition> left = new ArrayList<>(consumer.assignment());
            left.removeAll(revoked);
            sayAssigned(left);
        }

        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> assigned) {
            sayAssigned(consumer.assignment());
        }
    }

    private void share() {
        AtomicBoolean ended = inputEnded();
        Properties properties = properties(Map.of(
            "group.id", named.get("group"),
            "share.acknowledgement.mode", "explicit",
            "key.deserializer", StringDeserializer.class.getName(),
            "value.deserializer", StringDeserializer.class.getName()));
        try (KafkaShareConsumer<String, String> consumer = new KafkaShareConsumer<>(properties)) {
            consumer.subscribe(List.of(named.get("topic")));
            while (!ended.get()) {
                ConsumerRecords<String, String> records = consumer.poll(POLL);
                for (ConsumerRecord<String, String> record : records) {
                    consumer.acknowledge(record, isAccepted(record) ? AcknowledgeType.ACCEPT : AcknowledgeType.RELEASE);
                }
                if (records.isEmpty()) {
                    continue;
                }
                Set<Integer> moved = partitionsThatMoved(consumer.commitSync());
                for (ConsumerRecord<String, String> record : records) {
                    if (!moved.contains(record.partition())) {
                        say("record", "\"partition\":" + record.partition() + ",\"offset\":" + record.offset()
                            + ",\"value\":\"" + record.value() + "\",\"deliveries\":" + record.deliveryCount().orElseThrow()
                            + ",\"accepted\":" + isAccepted(record));
                    }
                }
                say("committed", "");
            }
        }
    }

    private boolean isAccepted(ConsumerRecord<String, String> record) {
        String released = named.get("release");
        return record.deliveryCount().orElseThrow() > 1 || released == null || !record.value().endsWith(released);
    }

    /**
     * Where nothing was acknowledged, because another node leads by now or another member has the partition: this client
     * keeps to itself what is said of partitions that were taken from it after the poll, and calls it by the same error.
     * Those records come again, when their time is over at the latest.
     */
    private static Set<Integer> partitionsThatMoved(Map<TopicIdPartition, Optional<KafkaException>> outcomes) {
        Set<Integer> moved = new HashSet<>();
        outcomes.forEach((partition, error) -> error.ifPresent(it -> {
            if (!(it instanceof NotLeaderOrFollowerException)) {
                throw it;
            }
            moved.add(partition.partition());
        }));
        return moved;
    }

    private void transact() throws Exception {
        try (KafkaProducer<String, String> producer = producer(Map.of("transactional.id", named.get("id")))) {
            producer.initTransactions();
            for (String name : List.of("kept", "dropped", "last")) {
                String how = name.equals("dropped") ? "abort" : "commit";
                producer.beginTransaction();
                for (int number = 0; number < 2; number++) {
                    producer.send(new ProducerRecord<>(named.get("topic"), 0, null, name + "-" + number));
                }
                producer.flush();
                end(producer, how);
                say("ended", "\"how\":\"" + how + "\"");
            }
        }
    }

    private void copy() throws Exception {
        String topic = named.get("topic");
        try (KafkaProducer<String, String> producer = producer(Map.of("transactional.id", named.get("id")));
                KafkaConsumer<String, String> consumer = consumer(group())) {
            consumer.subscribe(List.of(topic));
            producer.initTransactions();
            for (int left = Integer.parseInt(named.get("count")); left > 0; ) {
                ConsumerRecords<String, String> records = consumer.poll(POLL);
                if (records.isEmpty()) {
                    continue;
                }
                producer.beginTransaction();
                long next = 0;
                for (ConsumerRecord<String, String> record : records) {
                    producer.send(new ProducerRecord<>(named.get("target"), 0, null, record.value()));
                    next = record.offset() + 1;
                }
                Map<TopicPartition, OffsetAndMetadata> offsets =
                    Map.of(new TopicPartition(topic, 0), new OffsetAndMetadata(next));
                producer.sendOffsetsToTransaction(offsets, consumer.groupMetadata());
                end(producer, named.get("end"));
                left -= records.count();
                say("copied", "\"count\":" + records.count());
            }
        }
    }

    private static void end(KafkaProducer<String, String> producer, String how) {
        if (how.equals("commit")) {
            producer.commitTransaction();
        } else {
            producer.abortTransaction();
        }
    }

    private void admin() throws Exception {
        String topic = named.get("topic");
        try (Admin admin = Admin.create(properties(Map.of()))) {
            NewTopic created = new NewTopic(topic, 2, (short) 3).configs(Map.of("retention.ms", "60000"));
            admin.createTopics(List.of(created)).all().get();
            say("created", "");
            sayListed(admin, topic);
            sayRetention(admin, topic);
            AlterConfigOp longer =
                new AlterConfigOp(new ConfigEntry("retention.ms", "120000"), AlterConfigOp.OpType.SET);
            admin.incrementalAlterConfigs(Map.of(resource(topic), List.of(longer))).all().get();
            say("altered", "");
            sayRetention(admin, topic);
            admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(4))).all().get();
            say("grown", "");
            int count = admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().size();
            say("partitions", "\"count\":" + count);
            admin.deleteTopics(List.of(topic)).all().get();
            say("deleted", "");
            sayListed(admin, topic);
        }
    }

    private static ConfigResource resource(String topic) {
        return new ConfigResource(ConfigResource.Type.TOPIC, topic);
    }

    private static void sayListed(Admin admin, String topic) throws Exception {
        say("listed", "\"found\":" + admin.listTopics().names().get().contains(topic));
    }

    private static void sayRetention(Admin admin, String topic) throws Exception {
        ConfigEntry entry =
            admin.describeConfigs(List.of(resource(topic))).all().get().get(resource(topic)).get("retention.ms");
        say("config", "\"value\":\"" + entry.value() + "\"");
    }

    private KafkaProducer<String, String> producer(Map<String, String> options) {
        return new KafkaProducer<>(properties(options), new StringSerializer(), new StringSerializer());
    }

    private KafkaConsumer<String, String> consumer(Map<String, String> options) {
        Properties properties = properties(options);
        properties.setProperty("auto.offset.reset", "earliest");
        properties.setProperty("enable.auto.commit", "false");
        return new KafkaConsumer<>(properties, new StringDeserializer(), new StringDeserializer());
    }

    private Map<String, String> group() {
        String protocol = System.getProperty("group.protocol", "classic");
        Map<String, String> options = new HashMap<>(Map.of(
            "group.id", named.get("group"),
            "group.protocol", protocol,
            "isolation.level", "read_committed"));
        if (protocol.equals("classic")) { // in the other the broker says how often
            options.put("heartbeat.interval.ms", "200");
        }
        return options;
    }

    private Properties properties(Map<String, String> options) {
        Properties properties = new Properties();
        properties.setProperty("bootstrap.servers", named.get("bootstrap"));
        properties.putAll(options);
        return properties;
    }

    /** Is set when the standard input ends: a member shall leave. */
    private static AtomicBoolean inputEnded() {
        AtomicBoolean ended = new AtomicBoolean();
        Thread listener = new Thread(() -> {
            try {
                while (System.in.read() >= 0) { }
            } catch (IOException error) {
                System.err.println(error);
            }
            ended.set(true);
        });
        listener.setDaemon(true);
        listener.start();
        return ended;
    }

    private static void sayRecord(ConsumerRecord<String, String> record) {
        say("record", "\"partition\":" + record.partition() + ",\"offset\":" + record.offset()
            + ",\"value\":\"" + record.value() + "\"");
    }

    private static void sayAssigned(Collection<TopicPartition> assigned) {
        String partitions = assigned.stream().map(it -> String.valueOf(it.partition())).collect(Collectors.joining(","));
        say("assigned", "\"partitions\":[" + partitions + "]");
    }

    /** One line of JSON; nothing that is said here needs escaping. */
    private static synchronized void say(String event, String fields) {
        System.out.println("{\"event\":\"" + event + "\"" + (fields.isEmpty() ? "" : "," + fields) + "}");
    }
}
