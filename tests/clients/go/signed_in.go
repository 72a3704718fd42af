package main

import (
	"bufio"
	"context"
	"encoding/json"
	"os"

	"github.com/databricks/databricks-sdk-go"
	"github.com/databricks/databricks-sdk-go/config"
	"github.com/databricks/databricks-sdk-go/config/experimental/auth"
	"github.com/databricks/databricks-sdk-go/credentials/u2m"
	"github.com/databricks/databricks-sdk-go/credentials/u2m/cache"
	"github.com/databricks/databricks-sdk-go/service/jobs"
	"golang.org/x/oauth2"
)

// signedIn signs a person in by their browser, as the CLI does with the same package, and then does what it is told, a word a line:
// `list` or `token`. It prints a JSON line for each.
func signedIn() {
	var session *u2m.PersistentAuth
	words, lines := bufio.NewScanner(os.Stdin), json.NewEncoder(os.Stdout)
	for words.Scan() {
		out := map[string]any{}
		got, err := func() (any, error) {
			if session == nil {
				begun, err := challenge(os.Getenv("DATABRICKS_HOST"))
				if err != nil {
					return nil, err
				}
				session = begun
			}
			if words.Text() == "token" {
				token, err := session.Token()
				if err != nil {
					return nil, err
				}
				return token.AccessToken, nil
			}
			return list(session)
		}()
		if err != nil {
			out["error"] = asShown(err)
		} else {
			out["ok"] = got
		}
		lines.Encode(out)
	}
}

func challenge(host string) (*u2m.PersistentAuth, error) {
	workspace, err := u2m.NewBasicWorkspaceOAuthArgument(host)
	if err != nil {
		return nil, err
	}
	session, err := u2m.NewPersistentAuth(
		context.Background(), u2m.WithOAuthArgument(workspace), u2m.WithTokenCache(cache.NewInMemoryTokenCache()),
	)
	if err != nil {
		return nil, err
	}
	return session, session.Challenge()
}

func list(session *u2m.PersistentAuth) (any, error) {
	tokens := auth.TokenSourceFn(func(context.Context) (*oauth2.Token, error) { return session.Token() })
	w, err := databricks.NewWorkspaceClient(&databricks.Config{
		Credentials: config.NewTokenSourceStrategy("u2m", tokens), Loaders: []config.Loader{config.ConfigAttributes},
	})
	if err != nil {
		return nil, err
	}
	found, err := w.Jobs.ListAll(context.Background(), jobs.ListJobsRequest{})
	ids := []int64{}
	for _, job := range found {
		ids = append(ids, job.JobId)
	}
	return ids, err
}
