import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.MongoVersion;
import de.bwaldvogel.mongo.backend.memory.MemoryBackend;
import java.util.List;

/** Serves MongoDB's wire protocol from memory, for tests: `java Server PORT`. It ends with its standard input. */
public class Server {
  /** The version that drivers must hear of to speak to a server at all; what it can do is less. */
  record Told() implements MongoVersion {
    public List<Integer> getVersionArray() {
      return List.of(7, 0, 0);
    }

    public int getWireVersion() {
      return 21;
    }
  }

  public static void main(String[] arguments) throws Exception {
    MongoServer server = new MongoServer(new MemoryBackend().version(new Told()));
    server.bind("127.0.0.1", Integer.parseInt(arguments[0]));
    while (System.in.read() >= 0) {}
    server.shutdownNow();
  }
}
