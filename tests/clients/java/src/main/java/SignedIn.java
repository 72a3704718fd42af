import com.databricks.sdk.WorkspaceClient;
import com.databricks.sdk.core.DatabricksConfig;
import com.databricks.sdk.service.jobs.BaseJob;
import com.databricks.sdk.service.jobs.ListJobsRequest;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * A person's Java program that signs them in by their browser, and then does what it is told, a word a line: {@code list} or
 * {@code token}. It prints one JSON line for each: what came, or the error as the SDK shows it.
 */
public class SignedIn {
  public static void main(String[] args) throws Exception {
    ObjectMapper json = new ObjectMapper();
    BufferedReader words = new BufferedReader(new InputStreamReader(System.in));
    WorkspaceClient workspace = null;
    for (String word = words.readLine(); word != null; word = words.readLine()) {
      Map<String, Object> out;
      try {
        if (workspace == null) {
          String host = System.getenv("DATABRICKS_HOST");
          workspace =
              new WorkspaceClient(
                  new DatabricksConfig()
                      .setHost(host)
                      .setAuthType("external-browser")
                      // without it 0.141.0 ends with a NullPointerException
                      .setOAuthBrowserAuthTimeout(Duration.ofMinutes(2)));
        }
        out = Map.of("ok", word.equals("list") ? list(workspace) : token(workspace));
      } catch (Throwable error) { // whatever it is, the user sees it
        String type = error.getClass().getSimpleName();
        out = Map.of("error", Map.of("type", type, "message", String.valueOf(error.getMessage())));
      }
      System.out.println(json.writeValueAsString(out));
    }
    System.exit(0);
  }

  private static List<Long> list(WorkspaceClient workspace) {
    List<Long> ids = new ArrayList<>();
    for (BaseJob job : workspace.jobs().list(new ListJobsRequest())) {
      ids.add(job.getJobId());
    }
    return ids;
  }

  private static String token(WorkspaceClient workspace) {
    return workspace.config().authenticate().get("Authorization").substring("Bearer ".length());
  }
}
