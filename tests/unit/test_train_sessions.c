/* Sessions of one model in several threads: a run uses the weights of one step, none older than
 * the last step that was finished when it was called; and no step is lost because another thread
 * sets variables meanwhile.
 *
 * The model counts: its loss has the same slope everywhere, so that each step adds exactly 1 to
 * every trained weight, and weights and predictions say how many steps they have seen. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "plan/session.h"
#include "train_harness.h"

enum { HALF = 8, OUTPUTS = 2 * HALF, COUNTERS = OUTPUTS - 1 };
static float one = 1, far[OUTPUTS]; /* targets that no count comes near */

static int setup(void **state)
{
    for (int i = 0; i < OUTPUTS; i++)
        far[i] = 1e6F;
    return train_setup(state);
}

/* y [batch, OUTPUTS] = weights times x [batch, 1]. Two models in one, so that the weights have
 * several locks; the last weight is frozen, 0, and behind random numbers, whose step counts,
 * too. */
typedef struct counting {
    weft_model *half[2]; /* in the order of their locks */
    weft_model *whole;
} counting;

static weft_model *make_half(int frozen)
{
    static const char dense[] = "units=1 use_bias=false kernel_initializer=zeros";
    weft_model *m = train_model(frozen ? "second" : "first", 1);
    weft_tensor x = weft_input(m, "x", WEFT_F32, WEFT_SHAPE(1)), y[HALF];
    for (int i = 0; i < HALF - frozen; i++)
        y[i] = weft_apply(m, "Dense", dense, x);
    if (frozen) {
        char attrs[96];
        snprintf(attrs, sizeof attrs, "%s trainable=false", dense);
        y[HALF - 1] = weft_apply(m, "Dense", attrs, weft_apply(m, "Dropout", "rate=0.5", x));
    }
    weft_output(m, weft_apply_n(m, "Concatenate", NULL, y, HALF));
    return train_finished(m);
}

static counting make(void)
{
    counting c = { { make_half(0), make_half(1) }, train_model("counting", 1) };
    weft_tensor x = weft_input(c.whole, "x", WEFT_F32, WEFT_SHAPE(1)), y[2];
    for (int i = 0; i < 2; i++)
        y[i] = weft_model_call(c.whole, c.half[i], NULL, &x, 1, NULL);
    weft_output(c.whole, weft_apply(c.whole, "Concatenate", NULL, y[0], y[1]));
    train_finished(c.whole);
    if ((uintptr_t)weft__model_variable_at(c.half[0], 0)->store >
        (uintptr_t)weft__model_variable_at(c.half[1], 0)->store) {
        weft_model *first = c.half[1];
        c.half[1] = c.half[0];
        c.half[0] = first;
    }
    return c;
}

static void destroy(counting *c)
{
    weft_model_destroy(&c->whole);
    for (int i = 0; i < 2; i++)
        weft_model_destroy(&c->half[i]);
}

/* The mean absolute error of OUTPUTS numbers falls by 1 / OUTPUTS with each of them. */
static weft_session *open_counter(weft_model *m, const char *device)
{
    char attrs[64];
    snprintf(attrs, sizeof attrs, "optimizer=sgd(learning_rate=%d) loss=mae", OUTPUTS);
    return train_compiled(m, device, attrs);
}

static weft_session *open_reader(weft_model *m, const char *device)
{
    weft_session *s = NULL;
    if (weft_session_create(m, device, NULL, &s)) fail_msg("%s", weft_error());
    return s;
}

static void count(weft_session *s)
{
    weft_array x = train_array(&one, F32(1, 1)), y = train_array(far, F32(1, OUTPUTS));
    train_step(s, &x, &y, NULL);
}

/* How many steps a prediction has seen; -1: it failed, -2: its weights are of several steps. */
static int seen(weft_session *s)
{
    weft_array x = train_array(&one, F32(1, 1)), *y = NULL;
    const weft_array *xs[] = { &x };
    if (weft_session_run(s, xs, 1, &y, 1)) return -1;
    const float *counts = y->data;
    int n = (int)counts[0];
    for (int i = 0; i < COUNTERS; i++)
        if (counts[i] != (float)n) n = -2;
    weft_array_destroy(&y);
    return n;
}

/* ---- a step between the halves of a run ---- */

/* A holder whose values come home and who trains on before anybody has read them: what another
 * thread may do after it was asked for them. It is asked once for each of the model's locks. */
static int asked, trains_at;

static weft_status pull_and_step(void *user)
{
    weft_session *s = user;
    weft_array x = train_array(&one, F32(1, 1)), y = train_array(far, F32(1, OUTPUTS));
    const weft_array *in[] = { &x, &y };
    weft__plan_call call = { .model = s->model, .inputs = in, .batch = 1 };
    weft_status st = weft__session_pull(s);
    call.generation = weft__model_generation(s->model);
    pthread_mutex_lock(&s->lock);
    asked++;
    for (uint32_t i = 0; i < s->n_plans && !st; i++)
        if (asked == trains_at && s->plan[i].purpose == WEFT__TRAIN)
            st = weft__plan_run(s->plan[i].plan, &call);
    pthread_mutex_unlock(&s->lock);
    return st;
}

static void test_step_after_pull(void **state)
{
    (void)state;
    for (int d = 0; train_device[d]; d++) {
        counting c = make();
        weft_session *a = open_reader(c.whole, train_device[d]),
                     *b = open_counter(c.whole, train_device[d]);
        assert_int_equal(weft__model_claim(c.whole, &(weft__holder){ pull_and_step, b }), WEFT_OK);
        asked = trains_at = 0;
        count(b);
        assert_int_equal(seen(a), 1);
        trains_at = 2 * asked; /* the last time that the next run asks */
        count(b);
        assert_int_equal(seen(a), 2);
        assert_int_equal(asked, trains_at);
        assert_int_equal(seen(b), 3);
        assert_int_equal(seen(a), 3);
        weft_session_destroy(&a);
        weft_session_destroy(&b);
        destroy(&c);
    }
}

/* ---- threads ---- */

typedef struct worker {
    pthread_t thread;
    weft_model *model;
    weft_session *session;
    const weft__variable *step; /* of random numbers */
    atomic_int *now;            /* steps that have returned; or whether the thread has begun */
    atomic_int *stop;
    int turns;
    char wrong[512];
} worker;

static void begin(worker *w, void *(*work)(void *))
{
    assert_int_equal(pthread_create(&w->thread, NULL, work, w), 0);
}

static void end(worker *w, const char *what)
{
    pthread_join(w->thread, NULL);
    if (*w->wrong) fail_msg("%s: %s", what, w->wrong);
}

static void *predict(void *user)
{
    worker *w = user;
    for (int last = 0; !last && !*w->wrong; w->turns++) {
        last = atomic_load(w->stop);
        int least = atomic_load(w->now), n = seen(w->session);
        int most = atomic_load(w->now) + 1; /* one may have ended and not returned yet */
        if (n < least || n > most)
            snprintf(w->wrong, sizeof w->wrong, "called after step %d, it saw %d (%.300s)", least,
                     n,
                     n == -1   ? weft_error()
                     : n == -2 ? "of several steps"
                               : "");
    }
    return NULL;
}

/* The variable that counts the steps of a session that has done one. */
static const weft__variable *random_step(const weft_session *s)
{
    const weft__device *device = &s->devices->device[0];
    for (size_t i = 0; i < device->n_copies; i++)
        if (!strcmp(device->copy[i]->variable->path, "random_step"))
            return device->copy[i]->variable;
    fail_msg("the model draws no random numbers");
    return NULL;
}

/* What an upload sees: weights and the step of random numbers of the same moment. */
static void *look(void *user)
{
    worker *w = user;
    for (; !atomic_load(w->stop) && !*w->wrong; w->turns++) {
        weft__model_read_lock(w->model);
        int n = (int)*(const int64_t *)w->step->data;
        for (uint32_t i = 0; i < OUTPUTS; i++) {
            const weft__variable *v = weft__model_variable_at(w->model, i);
            const float *weight = v->data;
            if (v->flags & WEFT_TRAINABLE && *weight != (float)n)
                snprintf(w->wrong, sizeof w->wrong, "step %d, but weight %u is %g", n, (unsigned)i,
                         (double)*weight);
        }
        weft__model_unlock(w->model);
    }
    return NULL;
}

static void test_predict_beside_training(void **state)
{
    (void)state;
    for (int d = 0; train_device[d]; d++) {
        const int steps = d ? 200 : 20000; /* a second */
        atomic_int finished = 1, stop = 0;
        counting c = make();
        weft_session *a = open_reader(c.whole, train_device[d]),
                     *b = open_counter(c.whole, train_device[d]);
        count(b);
        worker w[2];
        for (int i = 0; i < 2; i++)
            w[i] = (worker){ .model = c.whole,
                             .session = a,
                             .step = random_step(b),
                             .now = &finished,
                             .stop = &stop };
        begin(&w[0], predict);
        begin(&w[1], look);
        for (int i = 1; i < steps; i++) {
            count(b);
            atomic_store(&finished, i + 1);
        }
        atomic_store(&stop, 1);
        end(&w[0], "a prediction");
        end(&w[1], "a look at the weights");
        printf("%s: %d steps, %d predictions, %d looks\n", train_device[d], steps, w[0].turns,
               w[1].turns);
        weft_session_destroy(&a);
        weft_session_destroy(&b);
        destroy(&c);
    }
}

/* ---- a variable set within a step ---- */

static void *step(void *user)
{
    worker *w = user;
    weft_array x = train_array(&one, F32(1, 1)), y = train_array(far, F32(1, OUTPUTS));
    const weft_array *xs[] = { &x }, *ys[] = { &y };
    if (weft_session_train_step(w->session, &(weft_data){ xs, ys, 1, 1 }, NULL))
        snprintf(w->wrong, sizeof w->wrong, "%.400s", weft_error());
    return NULL;
}

static void *set_to_zero(void *user)
{
    worker *w = user;
    float zero = 0;
    weft_array value = train_array(&zero, F32(1, 1));
    atomic_store(w->now, 1);
    if (weft_model_set_variable(w->model, 0, &value))
        snprintf(w->wrong, sizeof w->wrong, "%.400s", weft_error());
    return NULL;
}

/* A step that looks at its variables has the first lock and waits for the second, and a thread that
 * sets a variable waits for the first one. */
static void set_within_step(const counting *c, weft_session *s)
{
    atomic_int begun = 0;
    worker stepping = { .session = s }, setting = { .model = c->half[0], .now = &begun };
    assert_int_equal(weft_session_set_learning_rate(s, OUTPUTS), WEFT_OK); /* it looks again */
    weft__model_write_lock(c->half[1]);
    begin(&stepping, step);
    while (!pthread_mutex_trylock(&s->lock)) {
        pthread_mutex_unlock(&s->lock);
        sched_yield();
    }
    for (int i = 0; i < 100; i++)
        sched_yield();
    begin(&setting, set_to_zero);
    while (!atomic_load(&begun))
        sched_yield();
    for (int i = 0; i < 100; i++)
        sched_yield();
    weft__model_unlock(c->half[1]);
    end(&stepping, "a step");
    end(&setting, "setting a variable");
}

static void test_set_within_step(void **state)
{
    (void)state;
    for (int d = 0; train_device[d]; d++) {
        const int rounds = d ? 10 : 100;
        counting c = make();
        weft_session *s = open_counter(c.whole, train_device[d]);
        for (int i = 0; i < rounds; i++) {
            count(s); /* what the last round has set is in the pack now */
            set_within_step(&c, s);
        }
        for (uint32_t i = 1; i < OUTPUTS; i++) { /* all but the one that was set */
            weft_model *half = c.half[i / HALF];
            uint32_t flags;
            float n;
            weft_array value = train_array(&n, F32(1, 1));
            assert_int_equal(weft_model_variable(half, i % HALF, NULL, NULL, &flags), WEFT_OK);
            assert_int_equal(weft_model_get_variable(half, i % HALF, &value), WEFT_OK);
            assert_int_equal((int)n, flags & WEFT_TRAINABLE ? 2 * rounds : 0);
        }
        weft_session_destroy(&s);
        destroy(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_step_after_pull),
        cmocka_unit_test(test_predict_beside_training),
        cmocka_unit_test(test_set_within_step),
    };
    return cmocka_run_group_tests(tests, setup, train_teardown);
}
