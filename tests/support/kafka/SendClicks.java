import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.zip.CRC32;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;

/** Sends the events of the standard input, a line each: the visitor id, a tab, the JSON. Arguments: servers, topic. */
public class SendClicks {
    public static void main(String[] arguments) throws Exception {
        Map<String, Object> settings = Map.of("bootstrap.servers", arguments[0], "acks", "all");
        var lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        try (var producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer())) {
            for (String line; (line = lines.readLine()) != null; ) {
                String[] parts = line.split("\t", 2);
                producer.send(new ProducerRecord<>(arguments[1], key(parts[0]), parts[1])).get();
            }
        }
    }

    static String key(String visitor) {
        var crc = new CRC32();
        crc.update(visitor.getBytes(StandardCharsets.UTF_8));
        return String.format("%08x", crc.getValue());
    }
}
