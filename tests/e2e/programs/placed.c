/* A host whose every span has a place that is known beforehand. Each request has its id in its URL,
 * each span of the program's own has it as an attribute, and the plan on stdout says under which
 * other one it belongs: "get ID PARENT", "api ID PARENT", "relay ID PARENT", "-" for none.
 *
 *     placed ORIGIN NUMBER THREADS UNITS
 *
 * Says "port N" where its relay listens, reads a relay's port from stdin, works, says "done" and
 * relays for others until stdin ends. Runs unchanged without otelshim. */
#include <curl/curl.h>
#include <otelshim/otelshim.h>

#include <arpa/inet.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define ID_MAX 64
#define POOL   2

struct id {
    char text[ID_MAX];
};

static const char *origin;
static int number, peer_port;
static const struct id none = {"-"};
static pthread_mutex_t plan_lock = PTHREAD_MUTEX_INITIALIZER;

static void die(const char *what)
{
    fprintf(stderr, "%s\n", what);
    exit(1);
}

static void plan(const char *kind, struct id id, struct id parent)
{
    pthread_mutex_lock(&plan_lock);
    printf("%s %s %s\n", kind, id.text, parent.text);
    pthread_mutex_unlock(&plan_lock);
}

/* The id of one step of a unit of work. */
static struct id step(int unit, const char *name)
{
    struct id id;
    snprintf(id.text, sizeof(id.text), "%d/%d/%s", number, unit, name);
    return id;
}

/* Requests ------------------------------------------------------------------------------------ */

static size_t ignore(char *data, size_t size, size_t count, void *user)
{
    (void)data;
    (void)user;
    return size * count;
}

static CURL *prepare(struct id id, struct id parent)
{
    char url[300];
    CURL *easy = curl_easy_init();
    if (!easy)
        die("no handle");
    snprintf(url, sizeof(url), "%s/text?id=%s", origin, id.text);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, ignore);
    plan("get", id, parent);
    return easy;
}

static void perform(CURL *easy)
{
    long status = 0;
    CURLcode code = curl_easy_perform(easy);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    if (code != CURLE_OK || status != 200)
        die(curl_easy_strerror(code));
    curl_easy_cleanup(easy);
}

static void get(struct id id, struct id parent)
{
    perform(prepare(id, parent));
}

static struct otelshim_span api_start(struct id id, struct id parent)
{
    struct otelshim_span span = otelshim_span_start("unit", OTELSHIM_INTERNAL);
    otelshim_span_set_string(span, "test.id", id.text);
    plan("api", id, parent);
    return span;
}

/* Kinds of work ------------------------------------------------------------------------------- */

static void work_bare(int unit)
{
    get(step(unit, "a"), none);
    get(step(unit, "b"), none);
}

static void work_nested(int unit)
{
    struct id root = step(unit, "root"), inner = step(unit, "inner");
    struct otelshim_span outer_span = api_start(root, none);
    get(step(unit, "a"), root);
    struct otelshim_span inner_span = api_start(inner, root);
    get(step(unit, "b"), inner);
    otelshim_span_end(inner_span);
    get(step(unit, "c"), root);
    otelshim_span_end(outer_span);
    get(step(unit, "d"), none);
}

/* A request made by the callback of another one. */
struct callback {
    struct id id, parent;
    int done;
};

static size_t get_in_callback(char *data, size_t size, size_t count, void *user)
{
    struct callback *callback = user;
    if (!callback->done)
        get(callback->id, callback->parent);
    callback->done = 1;
    return ignore(data, size, count, NULL);
}

static CURL *prepare_with_callback(struct id id, struct id parent, struct callback *callback,
                                   struct id inner)
{
    CURL *easy = prepare(id, parent);
    *callback = (struct callback){inner, id, 0};
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, get_in_callback);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, callback);
    return easy;
}

static void work_callback(int unit)
{
    struct callback callback;
    struct id root = step(unit, "root");
    perform(prepare_with_callback(step(unit, "a"), none, &callback, step(unit, "a.b")));
    struct otelshim_span span = api_start(root, none);
    perform(prepare_with_callback(step(unit, "c"), root, &callback, step(unit, "c.d")));
    get(step(unit, "e"), root);
    otelshim_span_end(span);
}

static void *thread_inner(void *argument)
{
    struct id *id = argument, get_id;
    snprintf(get_id.text, ID_MAX, "%.50s.inner", id->text);
    struct id parent = *id;
    *strrchr(parent.text, '/') = '\0';
    strcat(parent.text, "/root");
    get(get_id, parent);
    return NULL;
}

static void *thread_outer(void *argument)
{
    struct id *id = argument;
    struct id parent = *id;
    pthread_t thread;
    *strrchr(parent.text, '/') = '\0';
    strcat(parent.text, "/root");
    get(*id, parent);
    if (pthread_create(&thread, NULL, thread_inner, id) != 0)
        die("no thread");
    pthread_join(thread, NULL);
    return NULL;
}

static void work_threads(int unit)
{
    struct id root = step(unit, "root"), ids[2] = {step(unit, "t0"), step(unit, "t1")};
    struct otelshim_span span = api_start(root, none);
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        if (pthread_create(&threads[i], NULL, thread_outer, &ids[i]) != 0)
            die("no thread");
    get(step(unit, "own"), root);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    otelshim_span_end(span);
}

/* A thread that never waits keeps the context that it was made in, also when that span is over. */
struct late {
    struct id root;
    int unit;
    atomic_bool over;
};

static void *late_thread(void *argument)
{
    struct late *late = argument;
    while (!atomic_load(&late->over))
        sched_yield();
    get(step(late->unit, "late0"), late->root);
    get(step(late->unit, "late1"), late->root);
    return NULL;
}

static void work_late(int unit)
{
    struct late late = {step(unit, "root"), unit, false};
    pthread_t thread;
    struct otelshim_span span = api_start(late.root, none);
    if (pthread_create(&thread, NULL, late_thread, &late) != 0)
        die("no thread");
    otelshim_span_end(span);
    atomic_store(&late.over, true);
    get(step(unit, "own"), none);
    pthread_join(thread, NULL);
}

/* The multi interface: three transfers at once, one of which makes a request in its callback. */
static void work_multi(int unit)
{
    static const char *const names[] = {"m0", "m1", "m2"};
    struct id root = step(unit, "root");
    struct otelshim_span span = api_start(root, none);
    CURLM *multi = curl_multi_init();
    CURL *easy[3];
    struct callback callback;
    int running = 1, left;
    for (int i = 0; i < 3; i++) {
        easy[i] = i == 1 ? prepare_with_callback(step(unit, names[i]), root, &callback,
                                                 step(unit, "m1.inner"))
                         : prepare(step(unit, names[i]), root);
        curl_multi_add_handle(multi, easy[i]);
    }
    while (running) {
        if (curl_multi_perform(multi, &running) != CURLM_OK)
            die("multi");
        if (running)
            curl_multi_poll(multi, NULL, 0, 1000, NULL);
    }
    for (CURLMsg *message; (message = curl_multi_info_read(multi, &left));)
        if (message->data.result != CURLE_OK)
            die("transfer");
    for (int i = 0; i < 3; i++) {
        curl_multi_remove_handle(multi, easy[i]);
        curl_easy_cleanup(easy[i]);
    }
    curl_multi_cleanup(multi);
    get(step(unit, "after"), root);
    otelshim_span_end(span);
}

/* An event loop: what goes on after a transfer belongs to the work that began it. */
static void work_loop(int unit)
{
    static const char *const roots[] = {"l0", "l1", "l2"};
    static const char *const gets[] = {"l0.get", "l1.get", "l2.get"};
    static const char *const nexts[] = {"l0.next", "l1.next", "l2.next"};
    CURLM *multi = curl_multi_init();
    int running = 1, left, told = 0;
    for (long i = 0; i < 3; i++) {
        struct otelshim_span span = api_start(step(unit, roots[i]), none);
        CURL *easy = prepare(step(unit, gets[i]), step(unit, roots[i]));
        curl_easy_setopt(easy, CURLOPT_PRIVATE, (void *)i);
        curl_multi_add_handle(multi, easy);
        otelshim_span_end(span);
    }
    while (told < 3) {
        if (curl_multi_perform(multi, &running) != CURLM_OK)
            die("multi");
        for (CURLMsg *message; (message = curl_multi_info_read(multi, &left)); told++) {
            CURL *easy = message->easy_handle;
            long i;
            if (message->data.result != CURLE_OK)
                die("transfer");
            curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&i);
            get(step(unit, nexts[i]), step(unit, roots[i]));
            curl_multi_remove_handle(multi, easy);
            curl_easy_cleanup(easy);
        }
        if (running)
            curl_multi_poll(multi, NULL, 0, 1000, NULL);
    }
    curl_multi_cleanup(multi);
    get(step(unit, "after"), none);
}

/* To another process, which asks the origin on our behalf and passes our headers on. */
static void work_relay(int unit)
{
    struct id root = step(unit, "root"), there = step(unit, "there");
    struct otelshim_span span = api_start(root, none);
    CURL *easy = prepare(there, root);
    char url[300];
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/text?id=%s", peer_port, there.text);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    perform(easy);
    otelshim_span_end(span);
}

/* A pool whose threads are made inside a request, and work for all others. */
struct job {
    struct id id, parent;
    struct otelshim_context *context; /* NULL: nobody passes one on */
    struct job *next;
    int done;
};

static pthread_mutex_t pool_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t pool_changed = PTHREAD_COND_INITIALIZER;
static struct job *pool_first;
static int pool_idle;

static void *pool_thread(void *unused)
{
    bool counted = false;
    (void)unused;
    pthread_mutex_lock(&pool_lock);
    for (;;) {
        struct job *job = pool_first;
        if (!job) {
            if (!counted)
                pool_idle++;
            counted = true;
            pthread_cond_broadcast(&pool_changed);
            pthread_cond_wait(&pool_changed, &pool_lock);
            continue;
        }
        pool_first = job->next;
        pthread_mutex_unlock(&pool_lock);
        unsigned token = otelshim_context_attach(job->context);
        get(job->id, job->parent);
        otelshim_context_detach(token);
        pthread_mutex_lock(&pool_lock);
        job->done = 1;
        pthread_cond_broadcast(&pool_changed);
    }
    return NULL;
}

static void pool_run(struct job *job)
{
    pthread_mutex_lock(&pool_lock);
    job->next = pool_first;
    pool_first = job;
    pthread_cond_broadcast(&pool_changed);
    while (!job->done)
        pthread_cond_wait(&pool_changed, &pool_lock);
    pthread_mutex_unlock(&pool_lock);
}

/* Inside a request of its own, which is over before any thread of the pool has work; they may have
 * begun to wait before its end or after. */
static void pool_start(void)
{
    struct otelshim_span span = api_start(step(0, "pool"), none);
    for (int i = 0; i < POOL; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, pool_thread, NULL) != 0)
            die("no thread");
    }
    if (number == 1)
        otelshim_span_end(span);
    pthread_mutex_lock(&pool_lock);
    while (pool_idle < POOL)
        pthread_cond_wait(&pool_changed, &pool_lock);
    pthread_mutex_unlock(&pool_lock);
    otelshim_span_end(span);
}

static void work_pool(int unit)
{
    struct id root = step(unit, "root");
    struct otelshim_span span = api_start(root, none);
    struct job passed = {step(unit, "passed"), root, otelshim_context_capture(), NULL, 0};
    struct job alone = {step(unit, "alone"), none, NULL, NULL, 0};
    pool_run(&passed);
    pool_run(&alone);
    otelshim_span_end(span);
    otelshim_context_free(passed.context);
}

/* The relay ----------------------------------------------------------------------------------- */

static void relay(int connection)
{
    static const char answer[] =
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    char head[4096] = "", *rest = NULL;
    size_t size = 0;
    struct id id, asked;
    struct curl_slist *headers = NULL;
    while (!strstr(head, "\r\n\r\n") && size < sizeof(head) - 1) {
        ssize_t got = read(connection, head + size, sizeof(head) - 1 - size);
        if (got <= 0)
            die("relay: no request");
        size += (size_t)got;
        head[size] = '\0';
    }
    if (sscanf(head, "GET /text?id=%50s", asked.text) != 1)
        die("relay: not a request of ours");
    snprintf(id.text, ID_MAX, "%.50s.relayed", asked.text);
    for (char *line = strtok_r(head, "\r\n", &rest); line; line = strtok_r(NULL, "\r\n", &rest))
        if (strncasecmp(line, "traceparent:", 12) == 0)
            headers = curl_slist_append(headers, line);
    CURL *easy = prepare(id, asked);
    plan("relay", id, asked);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    perform(easy);
    curl_slist_free_all(headers);
    if (send(connection, answer, sizeof(answer) - 1, MSG_NOSIGNAL) < 0)
        die("relay: no answer");
    close(connection);
}

static void *relay_thread(void *listener)
{
    for (;;) {
        int connection = accept(*(int *)listener, NULL, NULL);
        if (connection < 0)
            die("relay: accept");
        relay(connection);
    }
    return NULL;
}

static void relay_start(int *listener)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(address);
    pthread_t thread;
    *listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (*listener < 0 || bind(*listener, (struct sockaddr *)&address, size) != 0 ||
        listen(*listener, 64) != 0 || getsockname(*listener, (struct sockaddr *)&address, &size))
        die("relay: socket");
    for (int i = 0; i < 4; i++)
        if (pthread_create(&thread, NULL, relay_thread, listener) != 0)
            die("no thread");
    printf("port %d\n", ntohs(address.sin_port));
    fflush(stdout);
}

/* --------------------------------------------------------------------------------------------- */

static void (*const kinds[])(int unit) = {
    work_bare,  work_nested, work_callback, work_threads, work_late,
    work_multi, work_loop,   work_relay,    work_pool,
};

static int threads, units;
static atomic_int next_unit = 1;

static void *worker(void *unused)
{
    (void)unused;
    for (int unit; (unit = atomic_fetch_add(&next_unit, 1)) <= units;)
        kinds[(unsigned)unit % (sizeof(kinds) / sizeof(kinds[0]))](unit);
    return NULL;
}

int main(int argc, char **argv)
{
    static int listener;
    pthread_t thread[64];
    if (argc != 5 || (threads = atoi(argv[3])) < 1 || threads > 64)
        die("usage: placed ORIGIN NUMBER THREADS UNITS");
    origin = argv[1];
    number = atoi(argv[2]);
    units = atoi(argv[4]);
    curl_global_init(CURL_GLOBAL_ALL);
    relay_start(&listener);
    if (scanf("%d", &peer_port) != 1)
        die("no relay to ask");
    pool_start();
    for (int i = 0; i < threads; i++)
        if (pthread_create(&thread[i], NULL, worker, NULL) != 0)
            die("no thread");
    for (int i = 0; i < threads; i++)
        pthread_join(thread[i], NULL);
    printf("done\n");
    fflush(stdout);
    while (getchar() != EOF)
        ;
    return 0;
}
