import com.databricks.sdk.WorkspaceClient;
import com.databricks.sdk.core.DatabricksConfig;
import com.databricks.sdk.core.DatabricksError;
import com.databricks.sdk.service.jobs.BaseJob;
import com.databricks.sdk.service.jobs.ListJobsRequest;
import com.databricks.sdk.service.jobs.RunNow;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;

/**
 * What a Java program does in Databricks: {@code sdk list|run JOB [big]} with the SDK, {@code sql QUERY} with the JDBC driver, by the URL
 * in JDBC_URL. It prints one JSON object as its last line: what came, or the error as this client shows it.
 */
public class Story {
  public static void main(String[] args) throws Exception {
    Map<String, Object> out = new LinkedHashMap<>();
    try {
      out.put("ok", args[0].equals("sdk") ? sdk(args) : sql(args[1]));
    } catch (Throwable error) {
      out.put("error", shown(error));
    }
    System.out.println(new ObjectMapper().writeValueAsString(out));
    System.exit(0);
  }

  static Object sdk(String[] args) throws Exception {
    DatabricksConfig config =
        new DatabricksConfig()
            .setHost(System.getenv("DATABRICKS_HOST"))
            .setToken(System.getenv("DATABRICKS_TOKEN"))
            .setAuthType("pat");
    WorkspaceClient client = new WorkspaceClient(config);
    if (args[1].equals("list")) {
      List<Long> ids = new ArrayList<>();
      for (BaseJob job : client.jobs().list(new ListJobsRequest())) {
        ids.add(job.getJobId());
      }
      return ids;
    }
    RunNow request = new RunNow().setJobId(Long.parseLong(args[2]));
    if (args.length > 3) {
      request.setNotebookParams(Map.of("x", "y".repeat(70_000)));
    }
    return client.jobs().runNow(request).get().getState().getResultState().toString();
  }

  static Object sql(String query) throws SQLException {
    Properties given = new Properties();
    String token = System.getenv("DATABRICKS_TOKEN");
    if (token != null) { // else the driver signs the person in
      given.put("PWD", token);
    }
    try (Connection connection = DriverManager.getConnection(System.getenv("JDBC_URL"), given);
        Statement statement = connection.createStatement();
        ResultSet found = statement.executeQuery(query)) {
      List<List<Object>> rows = new ArrayList<>();
      int width = found.getMetaData().getColumnCount();
      while (found.next()) {
        List<Object> row = new ArrayList<>();
        for (int column = 1; column <= width; column++) {
          row.add(found.getObject(column));
        }
        rows.add(row);
      }
      return rows;
    }
  }

  static Map<String, Object> shown(Throwable error) {
    Map<String, Object> shown = new LinkedHashMap<>();
    shown.put("type", error.getClass().getSimpleName());
    shown.put("message", String.valueOf(error.getMessage()));
    if (error instanceof DatabricksError) {
      DatabricksError one = (DatabricksError) error;
      shown.put("code", one.getErrorCode());
      shown.put("status", one.getStatusCode());
      shown.put("reasons", one.getErrorDetails().toString());
    }
    return shown;
  }
}
