package web

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/visit"
)

// describe writes the JSON faces as OpenAPI 3.1, from the same plans and types that read and write them.
func describe(routes []Route) []byte {
	d := document{schemas: obj{}}
	problem := d.schema(reflect.TypeFor[Problem]())
	paths := obj{}
	for i := range routes {
		r := &routes[i]
		if paths[api+r.path] == nil {
			paths[api+r.path] = obj{}
		}
		paths[api+r.path].(obj)[strings.ToLower(r.method)] = d.operation(r)
	}
	b, err := json.MarshalIndent(obj{
		"openapi": "3.1.0",
		"info":    obj{"title": "Sallyport", "version": "1"},
		"paths":   paths,
		"components": obj{
			"schemas":   d.schemas,
			"responses": obj{"Problem": obj{"description": "What was refused, and why (RFC 9457)", "content": obj{"application/problem+json": obj{"schema": problem}}}},
			"securitySchemes": obj{
				"session": obj{"type": "apiKey", "in": "cookie", "name": visit.SessionCookie},
				"signin":  obj{"type": "apiKey", "in": "cookie", "name": visit.PendingCookie},
			},
		},
	}, "", "  ")
	if err != nil {
		panic(err) // maps of strings
	}
	return b
}

type obj = map[string]any

type document struct{ schemas obj }

func (d document) operation(r *Route) obj {
	op := obj{
		"summary":     r.about.Does,
		"operationId": strings.Trim(strings.Map(wordOnly, strings.ToLower(r.method)+r.path), "_"),
		"tags":        []string{strings.Split(r.path, "/")[1]},
		"x-guard":     r.guard,
		"security":    security[r.guard],
	}
	params, props, required := []obj{}, obj{}, []string{}
	for _, f := range r.in.fields {
		switch {
		case f.path:
			params = append(params, obj{"name": f.name, "in": "path", "required": true, "schema": f.schema()})
		case r.method == "GET":
			params = append(params, obj{"name": f.name, "in": "query", "required": !f.mayMiss(), "schema": f.schema()})
		default:
			props[f.name] = f.schema()
			if !f.mayMiss() {
				required = append(required, f.name)
			}
		}
	}
	if len(params) > 0 {
		op["parameters"] = params
	}
	if len(props) > 0 {
		op["requestBody"] = obj{"required": true, "content": obj{"application/json": obj{"schema": obj{
			"type": "object", "properties": props, "required": required, "additionalProperties": false}}}}
	}
	refused := obj{"$ref": "#/components/responses/Problem"}
	answers := obj{"default": refused}
	if r.isDownload() {
		answers["200"] = obj{"description": "A file, as it is made; without its end, the connection breaks", "content": obj{"*/*": obj{"schema": obj{"type": "string"}}}}
	} else if r.silent {
		answers["204"] = obj{"description": "Done"}
	} else {
		answers["200"] = obj{"description": "Done", "content": obj{"application/json": obj{"schema": d.schema(r.out)}}}
	}
	for status, when := range map[string]bool{
		"400": r.in.body && r.method != "GET", "422": r.in.body,
		"401": r.guard != visit.Public && r.guard != visit.Arriving, "403": r.guard == visit.Fresh,
		"404": strings.Contains(r.path, "{"), "429": r.about.Throttle != "",
	} {
		if when {
			answers[status] = refused
		}
	}
	op["responses"] = answers
	return op
}

var security = map[visit.Guard][]obj{
	visit.Public: {}, visit.Arriving: {}, visit.Offered: {{"session": []string{}}}, visit.Pending: {{"signin": []string{}}}, visit.Enrolling: {{"signin": []string{}}},
	visit.SignedIn: {{"session": []string{}}}, visit.Fresh: {{"session": []string{}}},
}

func wordOnly(r rune) rune {
	switch r {
	case '/', '-':
		return '_'
	case '{', '}':
		return -1
	}
	return r
}

// mayMiss is true for a flag too: an unticked box is not sent.
func (f *field) mayMiss() bool { return f.optional || f.kind == reflect.Bool }

func (f *field) schema() obj {
	s := obj{}
	switch {
	case f.raw && f.secret:
		s["type"] = "object"
	case f.raw:
	case f.list:
		s["type"], s["maxItems"], s["items"] = "array", maxList, obj{"type": "string", "maxLength": f.max}
	case f.kind == reflect.Bool:
		s["type"] = "boolean"
	case f.kind == reflect.Int:
		s["type"], s["minimum"], s["maximum"] = "integer", 0, f.max
	default:
		s["type"], s["maxLength"] = "string", f.max
		if !f.optional {
			s["minLength"] = 1
		}
	}
	if f.secret && !f.raw {
		s["format"], s["writeOnly"] = "password", true
	}
	if f.doc != "" {
		s["description"] = f.doc
	}
	return s
}

// schema of what goes out. Named structs become components.
func (d document) schema(t reflect.Type) obj {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return obj{"type": "string", "format": "date-time"}
	case t.Implements(reflect.TypeFor[json.Marshaler]()) && t.Kind() == reflect.Struct:
		return obj{"type": "object"}
	case t == reflect.TypeFor[auth.Secret]():
		return obj{"type": "string", "format": "password"}
	}
	switch t.Kind() {
	case reflect.String:
		return obj{"type": "string"}
	case reflect.Bool:
		return obj{"type": "boolean"}
	case reflect.Int, reflect.Int64:
		return obj{"type": "integer"}
	case reflect.Pointer:
		return d.schema(t.Elem())
	case reflect.Slice:
		return obj{"type": "array", "items": d.schema(t.Elem())}
	case reflect.Struct:
		return d.component(t)
	}
	panic("web: no schema for " + t.String()) // at the start, so a route with such an Out stops the program
}

func (d document) component(t reflect.Type) obj {
	name := t.String() // with its package: two folders may both have an Answer
	ref := obj{"$ref": "#/components/schemas/" + name}
	if d.schemas[name] != nil {
		return ref
	}
	props, required := obj{}, []string{}
	d.schemas[name] = obj{"type": "object", "properties": props}
	for field, sf := range jsonFields(t) {
		_, options, _ := strings.Cut(sf.Tag.Get("json"), ",")
		s := d.schema(sf.Type)
		if doc := sf.Tag.Get("doc"); doc != "" {
			s["description"] = doc
		}
		if enum := sf.Tag.Get("enum"); enum != "" {
			s["enum"] = strings.Split(enum, ",")
		}
		props[field] = s
		if options == "" {
			required = append(required, field)
		}
	}
	slices.Sort(required)
	d.schemas[name].(obj)["required"] = required
	return ref
}
