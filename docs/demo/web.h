/* The shop's small HTTP library: a server with a thread per connection, and calls by libcurl. House
 * rule: headers that a service does not know it passes on to whom it asks, as proxies do, so that
 * order and session numbers reach every log. */
#pragma once

#include <curl/curl.h>
#include <stddef.h>

struct web_request {
    int socket;
    char method[16];
    char path[256]; /* without the query */
    char query[256];
    struct curl_slist *relay; /* the caller's headers that go on to whom we ask */
};

struct web_answer {
    long status;
    char text[1024];
    size_t size;
};

typedef void web_handler(struct web_request *request);

/* Where the services are: a file of lines "name url". Read again whenever a service is looked up.
 */
void web_use_directory(const char *path);

/* Serves on a free port of 127.0.0.1, whose number it prints, and does not return unless it cannot.
 */
int web_serve(web_handler *handler);

/* One answer, or one in pieces: begin, then as many texts as there are. */
void web_reply(struct web_request *request, int status, const char *text);
void web_reply_begin(struct web_request *request, int status);
void web_reply_text(struct web_request *request, const char *text);

/* Copies a parameter of a query, or "". */
void web_parameter(const char *query, const char *name, char *value, size_t size);

/* "URL of the service" + path. 0, or -1 when the directory does not name it. */
int web_url(const char *service, const char *path, char *url, size_t size);

/* A libcurl handle for the URL that puts what it gets into answer; curl_easy_cleanup is the
 * caller's. */
CURL *web_prepare(const char *method, const char *url, struct curl_slist *headers,
                  struct web_answer *answer);

/* Asks and waits. 0 when there is an answer of status 200, otherwise -1. */
int web_call(const char *method, const char *url, struct curl_slist *headers,
             struct web_answer *answer);

/* The time that a disk, a database or a lorry takes. */
void web_work(int milliseconds);
