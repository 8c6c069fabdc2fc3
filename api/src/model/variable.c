/* Variables: created empty with checked sizes, filled by their initializer when first needed (a
 * file's weights usually come before), and read and written under the lock of their store. */
#include <assert.h>
#include <string.h>
#include <weft/status.h>
#include "base/alloc.h"
#include "base/fail.h"
#include "model/initializer.h"
#include "model/parts.h"

static const uint64_t max_bytes = (uint64_t)64 << 30;

weft_status weft__store_create(weft__store **store)
{
    static const weft_spec scalar = { WEFT_I64, 0, { 0 } };
    static const weft__variable_request step = {
        .path = "random_step", .name = "random_step", .spec = &scalar, .flags = WEFT_STATE
    };
    weft__store *s = weft__alloc(sizeof *s);
    if (!s) return WEFT_E_NOMEM;
    if (pthread_rwlock_init(&s->lock, NULL)) {
        weft__free(s);
        return weft_fail(WEFT_E_NOMEM,
                         "no lock could be made for the variables; the system is out of resources");
    }
    atomic_init(&s->refs, 1);
    atomic_init(&s->generation, 0);
    pthread_mutex_init(&s->holder_lock, NULL); /* a plain mutex cannot fail */
    weft_status st = weft__variable_create(s, &step, &s->step);
    if (!st && !(s->step->data = weft__alloc(sizeof(int64_t)))) st = WEFT_E_NOMEM;
    if (st)
        weft__store_destroy(&s);
    else
        *store = s;
    return st;
}

weft__store *weft__store_ref(weft__store *store)
{
    atomic_fetch_add(&store->refs, 1);
    return store;
}

void weft__store_destroy(weft__store **store)
{
    if (!*store) return;
    if (atomic_fetch_sub(&(*store)->refs, 1) == 1) {
        weft__variable_destroy(&(*store)->step);
        pthread_mutex_destroy(&(*store)->holder_lock);
        pthread_rwlock_destroy(&(*store)->lock);
        weft__free(*store);
    }
    *store = NULL;
}

uint64_t weft__spec_bytes(const weft_spec *spec)
{
    uint64_t n = weft_dtype_size(spec->dtype);
    for (int i = 0; i < spec->rank; i++)
        if (spec->dim[i] == 0) return 0;
    for (int i = 0; i < spec->rank; i++)
        if (spec->dim[i] < 0 || __builtin_mul_overflow(n, (uint64_t)spec->dim[i], &n))
            return UINT64_MAX;
    return n;
}

static weft_status check(const weft__variable_request *request)
{
    const uint32_t kept = WEFT_STATE | WEFT_TRANSIENT;
    const weft_spec *spec = request->spec;
    int known = 1;
    if (request->flags != WEFT_TRAINABLE && (request->flags & ~kept))
        return weft_fail(WEFT_E_ARG,
                         "variable \"%s\" has flags 0x%x: WEFT_TRAINABLE alone, or WEFT_STATE and "
                         "WEFT_TRANSIENT, are known",
                         request->name, (unsigned)request->flags);
    for (int i = 0; i < spec->rank; i++)
        known &= spec->dim[i] >= 0;
    if (known && weft__spec_bytes(spec) <= max_bytes) return WEFT_OK;
    weft__shape_text shape;
    if (known)
        return weft_fail(WEFT_E_SHAPE,
                         "variable \"%s\" of shape %s %s would need more than %llu GiB; check the "
                         "sizes in the layer's attributes",
                         request->name, weft__shape_show(spec, &shape),
                         weft_dtype_name(spec->dtype), (unsigned long long)(max_bytes >> 30));
    return weft_fail(
        WEFT_E_SHAPE,
        "variable \"%s\" of shape %s: every dimension must be a number; give the input "
        "that it depends on a fixed size",
        request->name, weft__shape_show(spec, &shape));
}

weft_status weft__variable_create(weft__store *store, const weft__variable_request *request,
                                  weft__variable **variable)
{
    const char *initializer = request->initializer ? request->initializer : "zeros";
    weft__variable *v = NULL;
    weft_status st = weft__spec_check(request->spec, "variable");
    if (st == WEFT_OK) st = check(request);
    if (st == WEFT_OK) st = weft__initializer_check(initializer, request->spec);
    if (st) return st;
    v = weft__alloc(sizeof *v);
    if (!v) return WEFT_E_NOMEM;
    v->path = weft__strdup(request->path);
    v->name = weft__strdup(request->name);
    v->initializer = weft__strdup(initializer);
    v->spec = *request->spec;
    v->flags = v->declared = request->flags;
    v->store = store;
    if (!v->path || !v->name || !v->initializer) {
        weft__variable_destroy(&v);
        return WEFT_E_NOMEM;
    }
    *variable = v;
    return WEFT_OK;
}

void weft__variable_destroy(weft__variable **variable)
{
    weft__variable *v = *variable;
    if (!v) return;
    weft__free(v->path);
    weft__free(v->name);
    weft__free(v->initializer);
    weft__free(v->data);
    weft__free(v);
    *variable = NULL;
}

/* Under the write lock. */
static weft_status fill(weft__variable *v)
{
    weft__initializer_request request = { v->initializer, v->path, &v->spec, v->store->seed };
    void *data = weft__alloc((size_t)weft__spec_bytes(&v->spec));
    if (!data) return WEFT_E_NOMEM;
    weft_status st = weft__initializer_run(&request, data);
    if (st) {
        weft__free(data);
        return st;
    }
    weft__free(v->data);
    v->data = data;
    v->generation++;
    atomic_fetch_add(&v->store->generation, 1);
    return WEFT_OK;
}

weft_status weft__variable_reset(weft__variable *variable)
{
    pthread_rwlock_wrlock(&variable->store->lock);
    weft_status st = fill(variable);
    pthread_rwlock_unlock(&variable->store->lock);
    return st;
}

weft_status weft__variable_ready(weft__variable *variable)
{
    weft_status st = WEFT_OK;
    pthread_rwlock_wrlock(&variable->store->lock);
    if (!variable->data) st = fill(variable);
    pthread_rwlock_unlock(&variable->store->lock);
    return st;
}

weft_status weft__variable_write(weft__variable *variable, const void *data)
{
    size_t bytes = (size_t)weft__spec_bytes(&variable->spec);
    weft_status st = WEFT_OK;
    pthread_rwlock_wrlock(&variable->store->lock);
    if (!variable->data) variable->data = weft__alloc(bytes);
    if (variable->data) {
        if (bytes) memcpy(variable->data, data, bytes);
        variable->generation++;
        atomic_fetch_add(&variable->store->generation, 1);
    } else {
        st = WEFT_E_NOMEM;
    }
    pthread_rwlock_unlock(&variable->store->lock);
    return st;
}

int weft__variable_land(weft__variable *variable, const void *data, uint64_t *generation)
{
    size_t bytes = (size_t)weft__spec_bytes(&variable->spec);
    if (variable->generation != *generation) return 0;
    assert(variable->data); /* a session has run, so the model is finished */
    if (bytes) memcpy(variable->data, data, bytes);
    *generation = ++variable->generation;
    return 1;
}

static weft_status pull(weft__store *store, const void *user)
{
    weft_status st = WEFT_OK;
    pthread_mutex_lock(&store->holder_lock);
    if (store->holder.user && store->holder.user != user)
        st = store->holder.pull(store->holder.user);
    pthread_mutex_unlock(&store->holder_lock);
    return st;
}

weft_status weft__model_pull(const weft_model *model, const void *user)
{
    weft_status st = WEFT_OK;
    for (size_t i = 0; i < model->n_stores && !st; i++)
        st = pull(model->stores[i], user);
    return st;
}

/* 1 = it is the user's now, or was. */
static int claim(weft__store *store, const weft__holder *holder)
{
    pthread_mutex_lock(&store->holder_lock);
    int free = !store->holder.user || store->holder.user == holder->user;
    if (free) store->holder = *holder;
    pthread_mutex_unlock(&store->holder_lock);
    return free;
}

weft_status weft__model_claim(const weft_model *model, const weft__holder *holder)
{
    size_t n = 0;
    while (n < model->n_stores && claim(model->stores[n], holder))
        n++;
    if (n == model->n_stores) return WEFT_OK;
    weft__model_release(model, holder->user);
    return weft_fail(WEFT_E_ARG,
                     "another session trains model \"%s\", or a model that shares layers with it, "
                     "or keeps its state; destroy that session first: one at a time may assign "
                     "variables",
                     model->name);
}

void weft__model_release(const weft_model *model, const void *user)
{
    for (size_t i = 0; i < model->n_stores; i++) {
        weft__store *store = model->stores[i];
        pthread_mutex_lock(&store->holder_lock);
        if (store->holder.user == user) store->holder = (weft__holder){ NULL, NULL };
        pthread_mutex_unlock(&store->holder_lock);
    }
}

uint64_t weft__model_wrote(const weft_model *model)
{
    for (size_t i = 0; i < model->n_stores; i++)
        atomic_fetch_add(&model->stores[i]->generation, 1);
    return model->n_stores;
}

weft_status weft__variable_read(weft__variable *variable, void *data)
{
    weft_status held = pull(variable->store, NULL);
    if (held) return held;
    pthread_rwlock_rdlock(&variable->store->lock);
    int empty = !variable->data;
    if (!empty) memcpy(data, variable->data, (size_t)weft__spec_bytes(&variable->spec));
    pthread_rwlock_unlock(&variable->store->lock);
    if (!empty) return WEFT_OK;
    weft_status st = weft__variable_ready(variable);
    return st ? st : weft__variable_read(variable, data);
}
