// The program of kafkajs.
'use strict'

const { Kafka, ConfigResourceTypes, logLevel } = require('kafkajs')

// A consumer tells the group that it lives, and hears of a rebalance, between two fetches.
const QUICK = { heartbeatInterval: 200, maxWaitTimeInMs: 200 }
const TRANSACTIONS = [['kept', true], ['dropped', false], ['last', true]]

const say = (event, fields = {}) => process.stdout.write(JSON.stringify({ event, ...fields }) + '\n')
const sayRecord = (partition, message) =>
  say('record', { partition, offset: Number(message.offset), value: message.value.toString() })

const toStderr = () => ({ label, log }) => process.stderr.write(`${label} ${JSON.stringify(log)}\n`)
const client = named =>
  new Kafka({ brokers: named.bootstrap.split(','), logLevel: logLevel.WARN, logCreator: toStderr })

async function produce(named) {
  const producer = client(named).producer()
  await producer.connect()
  for (const [number, value] of named.values.split(',').entries()) {
    const partition = number % Number(named.partitions)
    const [written] = await producer.send({ topic: named.topic, acks: -1, messages: [{ partition, value }] })
    say('produced', { partition: written.partition, offset: Number(written.baseOffset) })
  }
  await producer.disconnect()
}

// There is no reading without a group in kafkajs: it takes one of its own and commits nothing.
async function read(named) {
  const consumer = client(named).consumer({
    groupId: `${named.topic}-${process.pid}-reader`,
    rackId: named.rack || '',
    readUncommitted: named.isolation !== 'read_committed',
    ...QUICK,
  })
  await consumer.connect()
  await consumer.subscribe({ topics: [named.topic], fromBeginning: true })
  let left = Number(named.count)
  await new Promise((resolve, reject) => {
    consumer.on(consumer.events.CRASH, ({ payload }) => reject(payload.error))
    consumer
      .run({
        autoCommit: false,
        eachMessage: async ({ partition, message }) => {
          if (partition !== 0 || left === 0) return
          sayRecord(partition, message)
          if (--left === 0) resolve()
        },
      })
      .catch(reject)
  })
  await consumer.disconnect()
}

async function member(named) {
  const consumer = client(named).consumer({ groupId: named.group, ...QUICK })
  await consumer.connect()
  await consumer.subscribe({ topics: [named.topic], fromBeginning: true })
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) =>
    say('assigned', { partitions: payload.memberAssignment[named.topic] || [] })
  )
  consumer.on(consumer.events.REBALANCING, () => say('assigned', { partitions: [] }))
  await consumer.run({
    autoCommit: false,
    eachMessage: async ({ topic, partition, message }) => {
      sayRecord(partition, message)
      await consumer.commitOffsets([{ topic, partition, offset: String(Number(message.offset) + 1) }])
      say('committed')
    },
  })
  await inputEnd()
  await consumer.disconnect()
}

const inputEnd = () =>
  new Promise(resolve => {
    process.stdin.on('end', resolve)
    process.stdin.resume()
  })

const transactional = named =>
  client(named).producer({ transactionalId: named.id, idempotent: true, maxInFlightRequests: 1 })

async function transact(named) {
  const producer = transactional(named)
  await producer.connect()
  for (const [name, isKept] of TRANSACTIONS) {
    const transaction = await producer.transaction()
    const messages = [0, 1].map(number => ({ partition: 0, value: `${name}-${number}` }))
    await transaction.send({ topic: named.topic, acks: -1, messages })
    await (isKept ? transaction.commit() : transaction.abort())
    say('ended', { how: isKept ? 'commit' : 'abort' })
  }
  await producer.disconnect()
}

async function copy(named) {
  const producer = transactional(named)
  await producer.connect()
  const consumer = client(named).consumer({ groupId: named.group, readUncommitted: false, ...QUICK })
  await consumer.connect()
  await consumer.subscribe({ topics: [named.topic], fromBeginning: true })
  let left = Number(named.count)
  await new Promise((resolve, reject) => {
    consumer.on(consumer.events.CRASH, ({ payload }) => reject(payload.error))
    consumer
      .run({
        autoCommit: false,
        eachMessage: async ({ topic, partition, message }) => {
          if (left === 0) return
          const transaction = await producer.transaction()
          await transaction.send({ topic: named.target, acks: -1, messages: [{ partition: 0, value: message.value }] })
          const offset = String(Number(message.offset) + 1)
          const topics = [{ topic, partitions: [{ partition, offset }] }]
          await transaction.sendOffsets({ consumerGroupId: named.group, topics })
          await (named.end === 'commit' ? transaction.commit() : transaction.abort())
          say('copied', { count: 1 })
          if (--left === 0) resolve()
        },
      })
      .catch(reject)
  })
  await consumer.disconnect()
  await producer.disconnect()
}

async function admin(named) {
  const administrator = client(named).admin()
  const { topic } = named
  await administrator.connect()
  await administrator.createTopics({
    topics: [
      { topic, numPartitions: 2, replicationFactor: 3, configEntries: [{ name: 'retention.ms', value: '60000' }] },
    ],
  })
  say('created')
  const sayListed = async () => say('listed', { found: (await administrator.listTopics()).includes(topic) })
  const sayRetention = async () => {
    const resources = [{ type: ConfigResourceTypes.TOPIC, name: topic, configNames: ['retention.ms'] }]
    const described = await administrator.describeConfigs({ resources, includeSynonyms: false })
    say('config', { value: described.resources[0].configEntries[0].configValue })
  }
  await sayListed()
  await sayRetention()
  const configEntries = [{ name: 'retention.ms', value: '120000' }]
  await administrator.alterConfigs({ resources: [{ type: ConfigResourceTypes.TOPIC, name: topic, configEntries }] })
  say('altered')
  await sayRetention()
  await administrator.createPartitions({ topicPartitions: [{ topic, count: 4 }] })
  say('grown')
  const metadata = await administrator.fetchTopicMetadata({ topics: [topic] })
  say('partitions', { count: metadata.topics[0].partitions.length })
  await administrator.deleteTopics({ topics: [topic] })
  say('deleted')
  await sayListed()
  await administrator.disconnect()
}

const [job, ...rest] = process.argv.slice(2)
const named = Object.fromEntries(
  rest.map(argument => [argument.slice(0, argument.indexOf('=')), argument.slice(argument.indexOf('=') + 1)])
)
const jobs = { produce, read, member, transact, copy, admin }
jobs[job](named).then(
  () => process.exit(0),
  error => {
    console.error(error)
    process.exit(1)
  }
)
