/* Forks while a thread is inside the loader (hook/loader.h), with src/hook linked in: prints what a
 * child finds. Each child that hangs is ended by SIGALRM. */
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hook/loader.h"
#include "hook/resolve.h"

static sem_t is_inside, may_leave;

static bool count_module(const struct shim_module *module, void *count)
{
    (void)module;
    ++*(int *)count;
    return false;
}

static int count_modules(void)
{
    int count = 0;

    shim_modules_walk(count_module, &count);
    return count;
}

/* In a thread, since a child that has but one always does without the lock. */
static void *count_in_thread(void *ret_count)
{
    printf("%s, ", shim_loader_unlocked() != NULL ? "without lock" : "as ever");
    *(int *)ret_count = count_modules();
    return NULL;
}

/* What a child sees: whether it does without the lock, and whether it finds the same modules. */
static void try_child(const char *what)
{
    int status, modules = count_modules();
    pid_t child;

    fflush(stdout);
    child = fork();
    if (child == 0) {
        pthread_t thread;
        int count = 0;

        alarm(20);
        printf("%s: ", what);
        pthread_create(&thread, NULL, count_in_thread, &count);
        pthread_join(thread, NULL);
        printf("%s\n",
               count == modules && count_modules() == modules ? "all modules" : "not all modules");
        fflush(stdout);
        _exit(0);
    }
    if (waitpid(child, &status, 0) != child || status != 0)
        printf("%s: status %x\n", what, (unsigned)status);
}

static bool fork_in_visit(const struct shim_module *module, void *unused)
{
    (void)module;
    (void)unused;
    try_child("in a walk");
    return true;
}

static void wait_inside(void)
{
    sem_post(&is_inside);
    sem_wait(&may_leave);
}

static void *stay_inside(void *unused)
{
    int place = shim_loader_enter();

    wait_inside();
    shim_loader_leave(place);
    return unused;
}

/* A walk of the host's, which nothing tells of. */
static int stay_in_libc(struct dl_phdr_info *info, size_t size, void *unused)
{
    (void)info;
    (void)size;
    (void)unused;
    wait_inside();
    return 1;
}

static void *stay_in_walk(void *unused)
{
    dl_iterate_phdr(stay_in_libc, unused);
    return unused;
}

int main(void)
{
    pthread_t thread;
    int outer, inner;

    shim_resolve_init();
    sem_init(&is_inside, 0, 0);
    sem_init(&may_leave, 0, 0);
    try_child("alone");

    outer = shim_loader_enter();
    inner = shim_loader_enter();
    printf("nested: %d\n", inner);
    shim_loader_leave(inner);
    try_child("inside");
    shim_loader_leave(outer);
    try_child("left");
    shim_modules_walk(fork_in_visit, NULL);

    pthread_create(&thread, NULL, stay_inside, NULL);
    sem_wait(&is_inside);
    try_child("another inside");
    sem_post(&may_leave);
    pthread_join(thread, NULL);
    try_child("another left");

    int modules = count_modules();
    pthread_create(&thread, NULL, stay_in_walk, NULL);
    sem_wait(&is_inside);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        alarm(20);
        printf("another holds the lock: %s\n",
               count_modules() == modules ? "all modules" : "not all modules");
        fflush(stdout);
        _exit(0);
    }
    int status;
    if (waitpid(child, &status, 0) != child || status != 0)
        printf("another holds the lock: status %x\n", (unsigned)status);
    sem_post(&may_leave);
    pthread_join(thread, NULL);
    return 0;
}
