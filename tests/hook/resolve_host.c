/* The host of the tests of src/hook: the snippet named by the first argument prints what it sees,
 * which must be the same with and without the preload. Built plain, and linked with flavour a
 * (-DLINKED). */
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "parrot.h"

#pragma GCC diagnostic ignored "-Wpedantic" /* dlsym's functions */

int main(int argc, char **argv);

struct bird {
    struct parrot *(*new)(void);
    const char *(*speak)(struct parrot *);
    const char *(*repeat)(struct parrot *);
    void (*free)(struct parrot *);
};

static void *load(const char *path)
{
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);

    if (handle == NULL) {
        printf("dlopen: %s\n", dlerror());
        exit(1);
    }
    return handle;
}

static void *need(void *handle, const char *name)
{
    void *found = dlsym(handle, name);

    if (found == NULL) {
        printf("dlsym: %s\n", dlerror());
        exit(1);
    }
    return found;
}

static struct bird bird_of(void *handle)
{
    return (struct bird){need(handle, "parrot_new"), need(handle, "parrot_speak"),
                         need(handle, "parrot_repeat"), need(handle, "parrot_free")};
}

static void try_bird(const struct bird *bird)
{
    struct parrot *parrot = bird->new ();

    if (parrot == NULL) {
        printf("no parrot\n");
        return;
    }
    printf("%s\n", bird->speak(parrot));
    printf("%s\n", bird->repeat(parrot));
    bird->free(parrot);
}

static void run_plugin(const char *path)
{
    const char *(*run)(void) = need(load(path), "plugin_run");

    printf("plugin %s\n", run());
    printf("plugin %s\n", run());
}

/* Whether the name is found; if not, whether dlerror says so once. */
static void ask(const char *what, void *handle, const char *name, const char *version)
{
    dlerror();
    void *found = version != NULL ? dlvsym(handle, name, version) : dlsym(handle, name);
    const char *error = dlerror();

    printf("%s %s %s: %s, %s, ", what, name, version != NULL ? version : "",
           found != NULL ? "found" : "NULL",
           error == NULL            ? "no error"
           : strstr(error, name)    ? "error names it"
           : strstr(error, "GLIBC") ? "error names the version"
                                    : error);
    printf("%s\n", dlerror() == NULL ? "once" : "again");
}

#ifdef LINKED
static void snippet_linked(char **args)
{
    struct bird bird = {parrot_new, parrot_speak, parrot_repeat, parrot_free};

    (void)args;
    try_bird(&bird);
}

static void snippet_linked_and_plugin(char **args)
{
    snippet_linked(args);
    run_plugin(args[0]);
    snippet_linked(args);
}
#else
/* A name that we export exists in every process: a weak probe finds it, and the call must fail
 * well. */
#pragma weak parrot_new
static void snippet_weak(char **args)
{
    (void)args;
    if (&parrot_new == NULL)
        printf("absent\n");
    else
        printf("present, %s\n", parrot_new() == NULL ? "gives NULL" : "works");
}

/* Looks up a name that is there, and asks for a library that is not: nothing of that is remembered.
 * No allocation, for it runs in signal handlers. */
static void look(void)
{
    dlsym(RTLD_DEFAULT, "poll");
    if (&parrot_new != NULL && parrot_new() != NULL)
        printf("a parrot\n");
}

#define FORKS 400

static volatile sig_atomic_t forks, hung;

/* A child that does not come to an end ends by SIGALRM. */
static void fork_once(void)
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        sigset_t alarms;

        signal(SIGALRM, SIG_DFL);
        sigemptyset(&alarms);
        sigaddset(&alarms, SIGALRM);
        sigprocmask(SIG_UNBLOCK, &alarms, NULL);
        alarm(10);
        look();
        _exit(0);
    }
    forks = forks + 1;
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        hung = hung + 1;
}

static atomic_bool is_over;

static void *look_on(void *unused)
{
    while (!is_over)
        look();
    return unused;
}

static void snippet_fork(char **args)
{
    pthread_t threads[2];

    (void)args;
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, look_on, NULL);
    while (forks < FORKS && hung == 0)
        fork_once();
    is_over = true;
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    printf("%d forks, %d hung\n", (int)forks, (int)hung);
}

static void set_timer(void)
{
    struct itimerval soon = {.it_value.tv_usec = 50 + forks % 97};

    setitimer(ITIMER_REAL, &soon, NULL);
}

static void fork_on_alarm(int signal_number)
{
    int saved_errno = errno;

    (void)signal_number;
    fork_once();
    set_timer();
    errno = saved_errno;
}

static void snippet_fork_in_handler(char **args)
{
    struct sigaction action = {.sa_handler = fork_on_alarm, .sa_flags = SA_RESTART};

    (void)args;
    sigaction(SIGALRM, &action, NULL);
    set_timer();
    while (forks < FORKS && hung == 0)
        look();
    signal(SIGALRM, SIG_IGN);
    printf("%s, %d hung\n", forks >= FORKS ? "forked" : "gave up", (int)hung);
}
#endif

/* Exceptions and backtraces must get through what dlsym gives out. */
static void snippet_unwind(char **args)
{
    int (*sees)(const void *, unsigned long) = need(load(args[0]), "parrot_sees");

    printf("%d\n", sees((const void *)main, 4096));
    printf("%d\n", sees((const void *)8, 1));
}

static void snippet_plugins(char **args)
{
    for (int i = 0; args[i] != NULL; i++)
        run_plugin(args[i]);
    for (int i = 0; args[i] != NULL; i++)
        run_plugin(args[i]);
}

static void snippet_handles(char **args)
{
    struct bird bird[2] = {bird_of(load(args[0])), bird_of(load(args[1]))};

    for (int i = 0; i < 4; i++)
        try_bird(&bird[i % 2]);
    ask("a", load(args[0]), "parrot_sing", NULL);
    ask("b", load(args[1]), "parrot_sing", NULL);
    ask("a", load(args[0]), "parrot_new", "PARROT_A");
    ask("a", load(args[0]), "parrot_new", "PARROT_B");
    ask("b", load(args[1]), "parrot_new", "PARROT_B");
}

static void snippet_default(char **args)
{
    (void)args;
    ask("default", RTLD_DEFAULT, "parrot_new", NULL);
    ask("default", RTLD_DEFAULT, "parrot_speak", NULL);
    ask("default", RTLD_DEFAULT, "parrot_new", "PARROT_A");
    ask("default", RTLD_DEFAULT, "parrot_new", "PARROT_B");
    ask("default", RTLD_DEFAULT, "poll", NULL);
    ask("default", RTLD_DEFAULT, "no_such_function", NULL);
    ask("next", RTLD_NEXT, "parrot_new", NULL);
    ask("next", RTLD_NEXT, "poll", NULL);
    ask("next", RTLD_NEXT, "main", NULL);
    ask("program", dlopen(NULL, RTLD_NOW), "parrot_new", NULL);
    ask("program", dlopen(NULL, RTLD_NOW), "poll", NULL);
    ask("program", dlopen(NULL, RTLD_NOW), "dlsym", NULL);
}

/* The program's own handle, then calls. */
static void snippet_program(char **args)
{
    struct bird bird = bird_of(dlopen(NULL, RTLD_NOW));

    (void)args;
    try_bird(&bird);
}

/* Versions of a libc function: the old one must not become the wrapper's new one. */
static void snippet_versions(char **args)
{
    static const char *const versions[] = {"GLIBC_2.2.5", "GLIBC_2.3.2", "GLIBC_9"};
    void *libc = load("libc.so.6");
    char *anchor = need(libc, "puts");

    (void)args;
    for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
        ask("libc", libc, "pthread_cond_wait", versions[i]);
        ask("default", RTLD_DEFAULT, "pthread_cond_wait", versions[i]);
        ask("next", RTLD_NEXT, "pthread_cond_wait", versions[i]);
    }
    printf("%td\n", (char *)dlvsym(libc, "pthread_cond_wait", versions[0]) - anchor);
    printf("%td\n", (char *)dlvsym(RTLD_DEFAULT, "pthread_cond_wait", versions[0]) - anchor);
    printf("%td\n", (char *)dlvsym(RTLD_NEXT, "pthread_cond_wait", versions[0]) - anchor);
}

/* A module's own function of a name that we hook is not libc's. */
static void snippet_namesake(char **args)
{
    int (*own)(void *, unsigned long, int) = need(load(args[0]), "poll");

    printf("%d\n", own(NULL, 0, 0));
}

static void snippet_poll(char **args)
{
    int (*by_name)(struct pollfd *, nfds_t, int) = need(load("libc.so.6"), "poll");
    int (*by_version[3])(struct pollfd *, nfds_t, int) = {
        dlvsym(load("libc.so.6"), "poll", args[0]),
        dlvsym(RTLD_DEFAULT, "poll", args[0]),
        dlvsym(RTLD_NEXT, "poll", args[0]),
    };
    struct pollfd bad = {.fd = 1000, .events = POLLIN};
    int results[2];

    for (int i = 0; i < 3; i++)
        printf("%d ", by_version[i] != NULL ? by_version[i](&bad, 1, 0) : -1);
    results[0] = poll(&bad, 1, 0);
    results[1] = by_name(&bad, 1, 0);
    printf("%d %d %d\n", results[0], results[1], bad.revents);
    errno = 0;
    printf("%d", poll((void *)8, 1, 0));
    printf(" %s\n", strerror(errno));
}

/* A pending dlerror must outlive what we look up in between. */
static void snippet_dlerror(char **args)
{
    const char *(*run)(void) = need(load(args[0]), "plugin_run");
    void *none = dlopen("/nonexistent/library.so", RTLD_NOW);
    struct pollfd nothing = {.fd = -1};

    poll(&nothing, 1, 0);
    printf("plugin %s, %s\n", run(), none == NULL ? "not loaded" : "loaded");
    const char *error = dlerror();
    printf("%s\n", error != NULL ? error : "no error");
}

/* The file args[0] is replaced by args[1] between two loads of the plugin args[2] that needs it:
 * another flavour, with its functions elsewhere, in the same place, and the same code calling it.
 */
static void snippet_reload(char **args)
{
    void *place[2];

    for (int i = 0; i < 2; i++) {
        void *plugin = load(args[2]), *library = load(args[0]);
        const char *(*run)(void) = need(plugin, "plugin_run");
        struct bird bird = bird_of(library);

        place[i] = (void *)run;
        printf("plugin %s\n", run());
        try_bird(&bird);
        printf("dlclose %d %d\n", dlclose(library), dlclose(plugin));
        if (i == 0 && rename(args[1], args[0]) != 0)
            perror("rename");
    }
    printf("%s\n", place[0] == place[1] ? "same address" : "other address");
}

/* More loads than there is room for libraries, each in another place. */
static void snippet_many(char **args)
{
    for (int i = 0; i < 100; i++) {
        void *handle = load(args[i % 2]);
        struct bird bird = bird_of(handle);
        struct parrot *parrot = bird.new();
        char *place = need(handle, "parrot_version");

        if (parrot == NULL || strcmp(bird.repeat(parrot), i % 2 ? "b" : "a") != 0)
            printf("wrong at %d\n", i);
        bird.free(parrot);
        dlclose(handle);
        place -= (uintptr_t)place % 4096;
        if (mmap(place, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
                 0) != place)
            printf("not unloaded\n");
    }
    printf("done\n");
}

static void *churn(void *path)
{
    for (int i = 0; i < 300; i++)
        dlclose(load(path));
    return NULL;
}

static void *talk(void *run)
{
    uintptr_t wrong = 0;

    for (int i = 0; i < 20000; i++)
        wrong += strlen((*(const char *(*)(void))run)()) != 1;
    return (void *)wrong;
}

/* Two threads call through two plugins while a third loads and unloads: each answer is its own
 * flavour. */
static void snippet_threads(char **args)
{
    pthread_t threads[3];
    void *wrong[3];

    pthread_create(&threads[0], NULL, talk, need(load(args[0]), "plugin_run"));
    pthread_create(&threads[1], NULL, talk, need(load(args[1]), "plugin_run"));
    pthread_create(&threads[2], NULL, churn, args[2]);
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], &wrong[i]);
        printf("%zu wrong\n", (size_t)wrong[i]);
    }
}

static void snippet_interposer(char **args)
{
    int (*asks)(const char *) = dlsym(RTLD_DEFAULT, "interposer_asks");

    for (int i = 0; asks != NULL && args[i] != NULL; i++)
        printf("%s %d\n", args[i], asks(args[i]));
}

static void snippet_allocator(char **args)
{
    int (*most)(void) = dlsym(RTLD_DEFAULT, "allocator_most");
    char *block = malloc(100);

    (void)args;
    strcpy(block, "allocated");
    printf("%s %d\n", block, most != NULL ? most() : -1);
    free(block);
}

static double cost_of(const char *name)
{
    struct timespec start, end;
    int rounds = 200000;

    clock_gettime(CLOCK_MONOTONIC, &start);
    for (int i = 0; i < rounds; i++)
        dlsym(RTLD_DEFAULT, name);
    clock_gettime(CLOCK_MONOTONIC, &end);
    return ((double)(end.tv_sec - start.tv_sec) * 1e9 + (double)(end.tv_nsec - start.tv_nsec)) /
           rounds;
}

static void snippet_cost(char **args)
{
    (void)args;
    printf("dlsym(RTLD_DEFAULT): memcpy %.0f ns, poll (hooked) %.0f ns\n", cost_of("memcpy"),
           cost_of("poll"));
}

static const struct {
    const char *name;
    void (*run)(char **args);
} snippets[] = {
    {"allocator", snippet_allocator}, {"cost", snippet_cost},
    {"default", snippet_default},     {"dlerror", snippet_dlerror},
    {"handles", snippet_handles},     {"interposer", snippet_interposer},
#ifdef LINKED
    {"linked", snippet_linked},       {"linked_and_plugin", snippet_linked_and_plugin},
#endif
    {"many", snippet_many},           {"namesake", snippet_namesake},
    {"plugins", snippet_plugins},     {"poll", snippet_poll},
    {"program", snippet_program},     {"reload", snippet_reload},
    {"threads", snippet_threads},     {"unwind", snippet_unwind},
    {"versions", snippet_versions},
#ifndef LINKED
    {"fork", snippet_fork},           {"fork_in_handler", snippet_fork_in_handler},
    {"weak", snippet_weak},
#endif
};

int main(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < sizeof(snippets) / sizeof(snippets[0]); i++)
        if (strcmp(snippets[i].name, argv[1]) == 0) {
            snippets[i].run(argv + 2);
            return 0;
        }
    fprintf(stderr, "no such snippet\n");
    return 2;
}
