/* The shop's small HTTP library: see web.h. One thread per connection, one request per connection.
 */
#include "web.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HEAD_MAX 8192

struct connection {
    int socket;
    web_handler *handler;
};

static const char *directory = "services.conf";

void web_use_directory(const char *path)
{
    directory = path;
}

int web_url(const char *service, const char *path, char *url, size_t size)
{
    char name[64], base[256];
    int result = -1;
    FILE *file = fopen(directory, "r");
    if (!file)
        return -1;
    while (result < 0 && fscanf(file, "%63s %255s", name, base) == 2) {
        if (strcmp(name, service) == 0) {
            snprintf(url, size, "%s%s", base, path);
            result = 0;
        }
    }
    fclose(file);
    return result;
}

void web_parameter(const char *query, const char *name, char *value, size_t size)
{
    size_t name_size = strlen(name);
    value[0] = '\0';
    while (query && *query) {
        if (strncmp(query, name, name_size) == 0 && query[name_size] == '=') {
            snprintf(value, size, "%.*s", (int)strcspn(query + name_size + 1, "&"),
                     query + name_size + 1);
            return;
        }
        query = strchr(query, '&');
        query = query ? query + 1 : NULL;
    }
}

void web_reply_text(struct web_request *request, const char *text)
{
    size_t size = strlen(text);
    while (size > 0) {
        ssize_t sent = send(request->socket, text, size, MSG_NOSIGNAL);
        if (sent < 0)
            return;
        text += sent;
        size -= (size_t)sent;
    }
}

void web_reply_begin(struct web_request *request, int status)
{
    char head[128];
    snprintf(head, sizeof(head),
             "HTTP/1.1 %d %s\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n", status,
             status == 200 ? "OK" : "Sorry");
    web_reply_text(request, head);
}

void web_reply(struct web_request *request, int status, const char *text)
{
    web_reply_begin(request, status);
    web_reply_text(request, text);
}

/* Headers that are about this connection or this message, and not to be passed on. */
static int is_ours(const char *line)
{
    static const char *const names[] = {
        "host:",   "connection:", "content-length:", "content-type:",
        "accept:", "user-agent:", "expect:",         "transfer-encoding:"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strncasecmp(line, names[i], strlen(names[i])) == 0)
            return 1;
    return 0;
}

static int parse(char *head, struct web_request *request)
{
    char *rest = NULL;
    char *line = strtok_r(head, "\r\n", &rest);
    char target[512];
    if (!line || sscanf(line, "%15s %511s", request->method, target) != 2)
        return -1;
    char *query = strchr(target, '?');
    if (query)
        *query++ = '\0';
    snprintf(request->path, sizeof(request->path), "%.255s", target);
    snprintf(request->query, sizeof(request->query), "%.255s", query ? query : "");
    while ((line = strtok_r(NULL, "\r\n", &rest)))
        if (!is_ours(line))
            request->relay = curl_slist_append(request->relay, line);
    return 0;
}

static void *serve_connection(void *argument)
{
    struct connection *connection = argument;
    struct web_request request = {.socket = connection->socket};
    char head[HEAD_MAX + 1];
    size_t size = 0;
    head[0] = '\0';
    while (size < HEAD_MAX && !strstr(head, "\r\n\r\n")) {
        ssize_t got = read(connection->socket, head + size, HEAD_MAX - size);
        if (got <= 0)
            break;
        size += (size_t)got;
        head[size] = '\0';
    }
    if (strstr(head, "\r\n\r\n") && parse(head, &request) == 0)
        connection->handler(&request);
    curl_slist_free_all(request.relay);
    close(connection->socket);
    free(connection);
    return NULL;
}

static void start_connection(int socket, web_handler *handler)
{
    pthread_t thread;
    struct connection *connection = malloc(sizeof(*connection));
    if (connection) {
        connection->socket = socket;
        connection->handler = handler;
        if (pthread_create(&thread, NULL, serve_connection, connection) == 0) {
            pthread_detach(thread);
            return;
        }
    }
    free(connection);
    close(socket);
}

int web_serve(web_handler *handler)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, size) < 0 ||
        listen(listener, 64) < 0 || getsockname(listener, (struct sockaddr *)&address, &size) < 0) {
        perror("cannot listen");
        return -1;
    }
    curl_global_init(CURL_GLOBAL_ALL);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        int socket = accept(listener, NULL, NULL);
        if (socket >= 0)
            start_connection(socket, handler);
    }
}

static size_t keep(char *data, size_t size, size_t count, void *user)
{
    struct web_answer *answer = user;
    size_t room = sizeof(answer->text) - 1 - answer->size;
    size_t used = size * count < room ? size * count : room;
    memcpy(answer->text + answer->size, data, used);
    answer->size += used;
    answer->text[answer->size] = '\0';
    return size * count;
}

CURL *web_prepare(const char *method, const char *url, struct curl_slist *headers,
                  struct web_answer *answer)
{
    CURL *easy = curl_easy_init();
    memset(answer, 0, sizeof(*answer));
    if (!easy)
        return NULL;
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, keep);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, answer);
    if (strcmp(method, "POST") == 0)
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, "");
    return easy;
}

int web_call(const char *method, const char *url, struct curl_slist *headers,
             struct web_answer *answer)
{
    CURL *easy = web_prepare(method, url, headers, answer);
    if (!easy)
        return -1;
    CURLcode code = curl_easy_perform(easy);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &answer->status);
    curl_easy_cleanup(easy);
    return code == CURLE_OK && answer->status == 200 ? 0 : -1;
}

void web_work(int milliseconds)
{
    struct timespec time = {.tv_sec = milliseconds / 1000,
                            .tv_nsec = (long)(milliseconds % 1000) * 1000000};
    nanosleep(&time, NULL);
}
