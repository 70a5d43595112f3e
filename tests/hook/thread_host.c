/* Threads of every kind, each way of waiting; the test runs it bare and preloaded and compares.
 * Usage: thread_host MODE URL [MORE] */
#include "curl_host.h"

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

static const char *base;

static void *get_marked(void *mark)
{
    get(base, mark);
    return NULL;
}

static int get_marked_c11(void *mark)
{
    get(base, mark);
    return 0;
}

static struct otelshim_span request(const char *name)
{
    return otelshim_span_start(name, OTELSHIM_SERVER);
}

/* Each wait is over at once: what counts is that the thread waits. */
static const char *way;

static void wait_once(void)
{
    static const struct timespec past = {1, 0}, none = {0, 0};
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
    struct epoll_event event;
    struct timeval zero = {0, 0};
    sem_t semaphore;
    mtx_t c11_mutex;
    cnd_t c11_condition;
    _Atomic int word = 1;
    int epoll = epoll_create1(0), unbound = socket(AF_UNIX, SOCK_STREAM, 0);
    sem_init(&semaphore, 0, 1);
    mtx_init(&c11_mutex, mtx_timed);
    cnd_init(&c11_condition);
    mtx_lock(&c11_mutex);
    pthread_mutex_lock(&mutex);
    if (strcmp(way, "cond_timedwait") == 0)
        pthread_cond_timedwait(&condition, &mutex, &past);
    else if (strcmp(way, "cond_clockwait") == 0)
        pthread_cond_clockwait(&condition, &mutex, CLOCK_MONOTONIC, &past);
    else if (strcmp(way, "cnd_timedwait") == 0)
        cnd_timedwait(&c11_condition, &c11_mutex, &past);
    else if (strcmp(way, "sem_wait") == 0)
        sem_wait(&semaphore);
    else if (strcmp(way, "sem_timedwait") == 0)
        sem_timedwait(&semaphore, &past);
    else if (strcmp(way, "sem_clockwait") == 0)
        sem_clockwait(&semaphore, CLOCK_MONOTONIC, &past);
    else if (strcmp(way, "epoll_wait") == 0)
        epoll_wait(epoll, &event, 1, 0);
    else if (strcmp(way, "epoll_pwait") == 0)
        epoll_pwait(epoll, &event, 1, 0, NULL);
    else if (strcmp(way, "epoll_pwait2") == 0)
        epoll_pwait2(epoll, &event, 1, &none, NULL);
    else if (strcmp(way, "poll") == 0)
        poll(NULL, 0, 0);
    else if (strcmp(way, "ppoll") == 0)
        ppoll(NULL, 0, &none, NULL);
    else if (strcmp(way, "select") == 0)
        select(0, NULL, NULL, NULL, &zero);
    else if (strcmp(way, "pselect") == 0)
        pselect(0, NULL, NULL, NULL, &none, NULL);
    else if (strcmp(way, "accept") == 0)
        accept(unbound, NULL, NULL);
    else if (strcmp(way, "accept4") == 0)
        accept4(unbound, NULL, NULL, 0);
    else if (strcmp(way, "futex") == 0)
        syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
    else if (strcmp(way, "nothing") != 0)
        exit(3);
    pthread_mutex_unlock(&mutex);
    mtx_unlock(&c11_mutex);
    close(epoll);
    close(unbound);
}

static pthread_barrier_t step;

static void meet(void)
{
    pthread_barrier_wait(&step); /* its futex is libc's own: no hooked wait */
}

static void *live_through(void *unused)
{
    (void)unused;
    wait_once();
    get(base, "waited-in-request");
    meet();
    meet(); /* the request has ended */
    get(base, "before-wait");
    wait_once();
    get(base, "after-wait");
    return NULL;
}

static void waits(const char *url, char **more)
{
    pthread_t thread;
    base = url;
    way = more[0];
    pthread_barrier_init(&step, NULL, 2);
    struct otelshim_span span = request("request");
    pthread_create(&thread, NULL, live_through, NULL);
    meet();
    otelshim_span_end(span);
    meet();
    pthread_join(thread, NULL);
}

/* A pool of one thread, made by the first request that needs it. */
static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    cnd_t c11_changed;
    mtx_t c11_mutex;
    const char *job;
    bool stop;
} pool = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void *work(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&pool.mutex);
    for (;;) {
        while (!pool.job && !pool.stop)
            pthread_cond_wait(&pool.changed, &pool.mutex);
        if (!pool.job)
            break;
        get(base, pool.job);
        pool.job = NULL;
        pthread_cond_broadcast(&pool.changed);
    }
    pthread_mutex_unlock(&pool.mutex);
    return NULL;
}

static int work_c11(void *unused)
{
    (void)unused;
    mtx_lock(&pool.c11_mutex);
    for (;;) {
        while (!pool.job && !pool.stop)
            cnd_wait(&pool.c11_changed, &pool.c11_mutex);
        if (!pool.job)
            break;
        get(base, pool.job);
        pool.job = NULL;
        cnd_broadcast(&pool.c11_changed);
    }
    mtx_unlock(&pool.c11_mutex);
    return 0;
}

static void pool_in_request(const char *url, char **more)
{
    static const char *const jobs[] = {"first", "second"};
    pthread_t thread;
    (void)more;
    base = url;
    for (int i = 0; i < 2; i++) {
        struct otelshim_span span = request(i ? "request-2" : "request-1");
        pthread_mutex_lock(&pool.mutex);
        pool.job = jobs[i];
        if (i == 0)
            pthread_create(&thread, NULL, work, NULL);
        pthread_cond_broadcast(&pool.changed);
        while (pool.job)
            pthread_cond_wait(&pool.changed, &pool.mutex);
        pthread_mutex_unlock(&pool.mutex);
        otelshim_span_end(span);
    }
    pool.stop = true;
    pthread_cond_broadcast(&pool.changed);
    pthread_join(thread, NULL);
}

static void pool_c11(const char *url, char **more)
{
    static const char *const jobs[] = {"first", "second"};
    thrd_t thread;
    (void)more;
    base = url;
    mtx_init(&pool.c11_mutex, mtx_plain);
    cnd_init(&pool.c11_changed);
    for (int i = 0; i < 2; i++) {
        struct otelshim_span span = request(i ? "request-2" : "request-1");
        mtx_lock(&pool.c11_mutex);
        pool.job = jobs[i];
        if (i == 0)
            thrd_create(&thread, work_c11, NULL);
        cnd_broadcast(&pool.c11_changed);
        while (pool.job)
            cnd_wait(&pool.c11_changed, &pool.c11_mutex);
        mtx_unlock(&pool.c11_mutex);
        otelshim_span_end(span);
    }
    mtx_lock(&pool.c11_mutex);
    pool.stop = true;
    cnd_broadcast(&pool.c11_changed);
    mtx_unlock(&pool.c11_mutex);
    thrd_join(thread, NULL);
}

static void *work_late(void *unused)
{
    (void)unused;
    meet();
    get(base, "late");
    get(base, "later");
    return NULL;
}

/* Its work begins when the request is over. */
static void forgotten(const char *url, char **more)
{
    pthread_t thread;
    (void)more;
    base = url;
    pthread_barrier_init(&step, NULL, 2);
    struct otelshim_span span = request("request");
    pthread_create(&thread, NULL, work_late, NULL);
    otelshim_span_end(span);
    meet();
    pthread_join(thread, NULL);
}

static pthread_t grandchild;

static void *nest_thread(void *unused)
{
    (void)unused;
    struct otelshim_span span = otelshim_span_start("in-child", OTELSHIM_INTERNAL);
    pthread_create(&grandchild, NULL, get_marked, (void *)"grandchild");
    otelshim_span_end(span);
    pthread_join(grandchild, NULL);
    get(base, "child");
    return NULL;
}

static void nested(const char *url, char **more)
{
    pthread_t thread;
    thrd_t c11_thread;
    (void)more;
    base = url;
    struct otelshim_span span = request("request");
    pthread_create(&thread, NULL, nest_thread, NULL);
    pthread_join(thread, NULL);
    thrd_create(&c11_thread, get_marked_c11, (void *)"c11");
    thrd_join(c11_thread, NULL);
    otelshim_span_end(span);
    pthread_create(&thread, NULL, get_marked, (void *)"outside");
    pthread_join(thread, NULL);
}

static sem_t creator_is_gone, all_done;

static void *outlive(void *unused)
{
    (void)unused;
    meet();
    while (sem_trywait(&creator_is_gone) != 0)
        sched_yield();
    get(base, "outlives");
    sem_post(&all_done);
    return NULL;
}

static void *create_and_leave(void *unused)
{
    (void)unused;
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    struct otelshim_span span = request("request");
    printf("%d\n", pthread_create(&thread, &attributes, outlive, NULL));
    pthread_attr_destroy(&attributes);
    meet();
    otelshim_span_end(span);
    return NULL;
}

/* A detached thread goes on when its creator is gone. */
static void outlives(const char *url, char **more)
{
    pthread_t creator;
    (void)more;
    base = url;
    pthread_barrier_init(&step, NULL, 2);
    sem_init(&creator_is_gone, 0, 0);
    sem_init(&all_done, 0, 0);
    pthread_create(&creator, NULL, create_and_leave, NULL);
    pthread_join(creator, NULL);
    sem_post(&creator_is_gone);
    sem_wait(&all_done);
}

/* More stack than there is address space: no thread comes about. */
static void fails(const char *url, char **more)
{
    pthread_attr_t attributes;
    pthread_t thread;
    (void)more;
    base = url;
    struct otelshim_span span = request("request");
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, (size_t)1 << 50);
    for (int i = 0; i < 3; i++) {
        errno = 4711;
        int error = pthread_create(&thread, &attributes, get_marked, NULL);
        printf("%d\n", error);
    }
    pthread_attr_destroy(&attributes);
    get(url, "after");
    otelshim_span_end(span);
}

static size_t create_inside(char *data, size_t size, size_t count, void *user)
{
    pthread_t *thread = user;
    (void)data;
    if (*thread == 0)
        pthread_create(thread, NULL, get_marked, (void *)"of-callback");
    return size * count;
}

/* The context is that of a transfer, whose callback makes the thread. */
static void of_transfer(const char *url, char **more)
{
    pthread_t thread = 0;
    (void)more;
    base = url;
    CURL *easy = make(url, "transfer");
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, create_inside);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &thread);
    CURLcode code = curl_easy_perform(easy);
    pthread_join(thread, NULL);
    report(easy, code);
    curl_easy_cleanup(easy);
}

int main(int argc, char **argv)
{
    static const struct mode modes[] = {
        {"waits", waits},   {"pool", pool_in_request},    {"pool_c11", pool_c11},
        {"nested", nested}, {"forgotten", forgotten},     {"outlives", outlives},
        {"fails", fails},   {"of_transfer", of_transfer},
    };
    (void)argc;
    return run_mode(modes, sizeof(modes) / sizeof(*modes), argv);
}
