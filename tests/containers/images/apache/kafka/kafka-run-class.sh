#!/bin/bash
# kafka-run-class.sh CLASS ARGUMENT...; under the name of a tool it runs that tool.
case $(basename "$0") in
    kafka-broker-api-versions.sh) set -- org.apache.kafka.tools.BrokerApiVersionsCommand "$@" ;;
    kafka-configs.sh) set -- kafka.admin.ConfigCommand "$@" ;;
    kafka-console-consumer.sh) set -- org.apache.kafka.tools.consumer.ConsoleConsumer "$@" ;;
    kafka-console-producer.sh) set -- org.apache.kafka.tools.ConsoleProducer "$@" ;;
    kafka-consumer-groups.sh) set -- org.apache.kafka.tools.consumer.group.ConsumerGroupCommand "$@" ;;
    kafka-topics.sh) set -- org.apache.kafka.tools.TopicCommand "$@" ;;
esac
logging=${KAFKA_LOG4J_OPTS:--Dlog4j2.level=WARN}
# shellcheck disable=SC2086  # the variables hold several options
exec java ${KAFKA_HEAP_OPTS:--Xmx256m} ${KAFKA_JVM_PERFORMANCE_OPTS:--XX:+UseG1GC} ${KAFKA_JMX_OPTS:-} $logging ${KAFKA_OPTS:-} \
    -cp "/opt/kafka/libs/*" "$@"
