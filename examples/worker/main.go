// Command worker is the example worker: it takes the messages of one pg-boss queue (version 10 or later)
// by plain SQL, works on each for a moment, completes it, and ends when the queue is empty.
// As `worker serve` it is the example service: it answers over HTTP until it is told to end.
//
// It needs no configuration of its own: job-chief gives it QUEUE_NAME. The way to Postgres is DATABASE_URL, of a Secret
// of its JobConfig, or with injectPgConfig DB_HOST, DB_PORT, DB_USERNAME, DB_PASSWORD, DB_NAME and DB_SCHEMA.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// fetchTimeout bounds each statement.
const fetchTimeout = 10 * time.Second

func main() {
	log := slog.New(slog.NewJSONHandler(os.Stdout, nil))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		if err := serve(ctx, log); err != nil {
			log.Error("the server failed", "error", err.Error())
			os.Exit(1)
		}
		return
	}
	taken, err := run(ctx, log)
	if err != nil {
		log.Error("the worker failed", "error", err.Error(), "taken", taken)
		os.Exit(1)
	}
	log.Info("the queue is empty", "taken", taken)
}

// serve answers on port 8080 until ctx ends; requests that are under way are answered first.
func serve(ctx context.Context, log *slog.Logger) error {
	pages := http.NewServeMux()
	pages.HandleFunc("/health", func(to http.ResponseWriter, _ *http.Request) { fmt.Fprintln(to, "ok") })
	pages.HandleFunc("/", func(to http.ResponseWriter, _ *http.Request) { fmt.Fprintln(to, "hello") })
	server := &http.Server{Addr: ":8080", Handler: pages, ReadHeaderTimeout: fetchTimeout}
	go func() {
		<-ctx.Done()
		ending, cancel := context.WithTimeout(context.Background(), fetchTimeout)
		defer cancel()
		if err := server.Shutdown(ending); err != nil {
			log.Warn("requests were cut off", "error", err.Error())
		}
	}()
	log.Info("serving", "address", server.Addr)
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// run takes messages until there are none, and returns how many it took.
func run(ctx context.Context, log *slog.Logger) (int, error) {
	queue := os.Getenv("QUEUE_NAME")
	way, err := pgx.ParseConfig(address())
	if err != nil {
		// pgx names no password.
		return 0, fmt.Errorf("the way to Postgres: %w", err)
	}
	log.Info("started", "queue", queue, "host", way.Host, "port", way.Port, "user", way.User, "database", way.Database)
	connection, err := connect(ctx, way)
	if err != nil {
		return 0, err
	}
	defer connection.Close(context.Background())
	pause, err := time.ParseDuration(orDefault(os.Getenv("WORK_TIME"), "200ms"))
	if err != nil {
		return 0, fmt.Errorf("WORK_TIME is no duration: %w", err)
	}
	table := pgx.Identifier{orDefault(os.Getenv("DB_SCHEMA"), "pgboss"), "job"}.Sanitize()
	for taken := 0; ; taken++ {
		id, data, err := fetch(ctx, connection, table, queue)
		if errors.Is(err, pgx.ErrNoRows) {
			return taken, nil
		}
		if err != nil {
			return taken, fmt.Errorf("fetching a message: %w", err)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return taken, errors.New("stopped while working; the message is retried by pg-boss when it expires")
		}
		if err := complete(ctx, connection, table, queue, id); err != nil {
			return taken, fmt.Errorf("completing message %s: %w", id, err)
		}
		log.Info("took a message", "queue", queue, "id", id, "data", json.RawMessage(data))
	}
}

// address is where Postgres is, and who asks.
func address() string {
	parts := url.URL{
		Scheme: "postgres",
		User:   url.UserPassword(os.Getenv("DB_USERNAME"), os.Getenv("DB_PASSWORD")),
		Host:   os.Getenv("DB_HOST") + ":" + orDefault(os.Getenv("DB_PORT"), "5432"),
		Path:   "/" + os.Getenv("DB_NAME"),
	}
	return orDefault(os.Getenv("DATABASE_URL"), parts.String())
}

func connect(ctx context.Context, way *pgx.ConnConfig) (*pgx.Conn, error) {
	bounded, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	connection, err := pgx.ConnectConfig(bounded, way)
	if err != nil {
		// pgx names host and user, never the password.
		return nil, fmt.Errorf("connecting to Postgres: %w", err)
	}
	return connection, nil
}

func fetch(ctx context.Context, connection *pgx.Conn, table, queue string) (id string, data []byte, err error) {
	bounded, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	sql := strings.ReplaceAll(`update TABLE set state = 'active', started_on = now()
		where name = $1 and id = (select id from TABLE where name = $1 and state < 'active' and start_after <= now()
			order by priority desc, created_on, id limit 1 for update skip locked)
		returning id::text, coalesce(data, 'null')::text`, "TABLE", table)
	err = connection.QueryRow(bounded, sql, queue).Scan(&id, &data)
	return id, data, err
}

func complete(ctx context.Context, connection *pgx.Conn, table, queue, id string) error {
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
	defer cancel()
	_, err := connection.Exec(bounded, "update "+table+" set state = 'completed', completed_on = now() where name = $1 and id = $2::uuid", queue, id)
	return err
}

func orDefault(value, fallback string) string {
	if value == "" {
		return fallback
	}
	return value
}
