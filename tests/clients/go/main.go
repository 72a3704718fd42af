// What a Go program does in Databricks: `story sdk list|run JOB [big]` with the SDK, `story sql QUERY` with the SQL driver, and
// `story signed-in` (signed_in.go). It prints one JSON object: what came, or the error as this client shows it.
package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/databricks/databricks-sdk-go"
	"github.com/databricks/databricks-sdk-go/apierr"
	"github.com/databricks/databricks-sdk-go/config"
	"github.com/databricks/databricks-sdk-go/service/jobs"
	dbsql "github.com/databricks/databricks-sql-go"
)

type shown struct {
	Type    string `json:"type"`
	Message string `json:"message"`
	Code    string `json:"code,omitempty"`
	Status  int    `json:"status,omitempty"`
	Reason  string `json:"reason,omitempty"`
}

func main() {
	if os.Args[1] == "signed-in" {
		signedIn()
		return
	}
	out := map[string]any{}
	got, err := run(os.Args[1:])
	if err != nil {
		out["error"] = asShown(err)
	} else {
		out["ok"] = got
	}
	json.NewEncoder(os.Stdout).Encode(out)
}

func run(args []string) (any, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	if args[0] == "sql" {
		return query(ctx, args[1])
	}
	retry, _ := strconv.Atoi(os.Getenv("RETRY_SECONDS"))
	w, err := databricks.NewWorkspaceClient(&databricks.Config{
		RetryTimeoutSeconds: retry, Loaders: []config.Loader{config.ConfigAttributes},
	})
	if err != nil {
		return nil, err
	}
	if args[1] == "list" {
		found, err := w.Jobs.ListAll(ctx, jobs.ListJobsRequest{})
		ids := []int64{}
		for _, job := range found {
			ids = append(ids, job.JobId)
		}
		return ids, err
	}
	job, err := strconv.ParseInt(args[2], 10, 64)
	if err != nil {
		return nil, err
	}
	request := jobs.RunNow{JobId: job}
	if len(args) > 3 {
		request.NotebookParams = map[string]string{"x": strings.Repeat("y", 70_000)}
	}
	started, err := w.Jobs.RunNow(ctx, request)
	if err != nil {
		return nil, err
	}
	done, err := started.Get()
	if err != nil {
		return nil, err
	}
	return done.State.ResultState, nil
}

func query(ctx context.Context, text string) (any, error) {
	host, err := url.Parse(os.Getenv("DATABRICKS_HOST"))
	if err != nil {
		return nil, err
	}
	connector, err := dbsql.NewConnector(
		dbsql.WithServerHostname(host.Hostname()),
		dbsql.WithPort(443),
		dbsql.WithHTTPPath(os.Getenv("HTTP_PATH")),
		dbsql.WithAccessToken(os.Getenv("DATABRICKS_TOKEN")),
		dbsql.WithRetries(2, time.Second, 2*time.Second),
	)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	rows, err := db.QueryContext(ctx, text)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	found := [][]any{}
	for rows.Next() {
		row := make([]any, len(columns))
		places := make([]any, len(columns))
		for i := range row {
			places[i] = &row[i]
		}
		if err := rows.Scan(places...); err != nil {
			return nil, err
		}
		found = append(found, row)
	}
	return found, rows.Err()
}

func asShown(err error) shown {
	one := shown{Type: fmt.Sprintf("%T", err), Message: err.Error()}
	var api *apierr.APIError
	if errors.As(err, &api) {
		one.Type, one.Code, one.Status = fmt.Sprintf("%T", api), api.ErrorCode, api.StatusCode
		if info := api.ErrorDetails().ErrorInfo; info != nil {
			one.Reason = info.Reason
		}
	}
	return one
}
