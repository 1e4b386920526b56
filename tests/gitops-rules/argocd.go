package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	luajson "layeh.com/gopher-json"
)

// What a ConfigMap argocd-cm says about a kind.
type customization struct {
	HealthLua string `json:"health"`
	Discovery string `json:"discovery.lua"`
	// Named as in Argo CD's ResourceActions.
	Definitions []struct {
		Name      string `json:"name"`
		ActionLua string `json:"action.lua"`
	} `json:"definitions"`
}

type health struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

type action struct {
	Disabled bool `json:"disabled"`
	// The object afterwards, or why the action refuses.
	Result map[string]any `json:"result,omitempty"`
	Error  string         `json:"error,omitempty"`
}

// Argo CD's gitops-engine/pkg/health.
var statuses = []string{"Unknown", "Progressing", "Suspended", "Healthy", "Degraded", "Missing"}

// Does what runLua of Argo CD 3.6 (util/lua) does without useOpenLibs: the same libraries but os, which no rule needs, and
// the same limit of time.
func runLua(object map[string]any, script string, parameters map[string]string, result any) error {
	l := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer l.Close()
	for name, open := range map[string]lua.LGFunction{
		lua.LoadLibName: lua.OpenPackage,
		lua.BaseLibName: lua.OpenBase,
		lua.TabLibName:  lua.OpenTable,
	} {
		if err := l.CallByParam(lua.P{Fn: l.NewFunction(open), Protect: true}, lua.LString(name)); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	l.SetContext(ctx)
	table := l.CreateTable(0, len(parameters))
	for name, value := range parameters {
		table.RawSetH(lua.LString(name), lua.LString(value))
	}
	l.SetGlobal("actionParams", table)
	l.SetGlobal("obj", value(l, object))
	if err := l.DoString(script); err != nil {
		return err
	}
	returned := l.Get(-1)
	if returned.Type() != lua.LTTable {
		return fmt.Errorf("expect table output from Lua script, not %s", returned.Type())
	}
	bytes, err := luajson.Encode(returned)
	if err != nil {
		return err
	}
	return json.Unmarshal(bytes, result)
}

// As decodeValue of Argo CD.
func value(l *lua.LState, decoded any) lua.LValue {
	switch decoded := decoded.(type) {
	case bool:
		return lua.LBool(decoded)
	case float64:
		return lua.LNumber(decoded)
	case string:
		return lua.LString(decoded)
	case int64:
		return lua.LNumber(decoded)
	case []any:
		array := l.CreateTable(len(decoded), 0)
		for _, item := range decoded {
			array.Append(value(l, item))
		}
		return array
	case map[string]any:
		table := l.CreateTable(0, len(decoded))
		for key, item := range decoded {
			table.RawSetH(lua.LString(key), value(l, item))
		}
		return table
	}
	return lua.LNil
}

func (c customization) health(object *unstructured.Unstructured) (health, error) {
	var result health
	if err := runLua(object.Object, c.HealthLua, nil, &result); err != nil {
		return result, err
	}
	if !slices.Contains(statuses, result.Status) {
		return result, fmt.Errorf("Argo CD has no health status %q", result.Status)
	}
	return result, nil
}

func (c customization) actions(object *unstructured.Unstructured, parameters map[string]string) (map[string]action, error) {
	discovered := map[string]struct {
		Disabled bool `json:"disabled"`
	}{}
	if err := runLua(object.Object, c.Discovery, nil, &discovered); err != nil {
		return nil, err
	}
	actions := map[string]action{}
	for _, definition := range c.Definitions {
		found, ok := discovered[definition.Name]
		if !ok {
			return nil, fmt.Errorf("action %s is not discovered", definition.Name)
		}
		done := action{Disabled: found.Disabled}
		if err := runLua(object.Object, definition.ActionLua, parameters, &done.Result); err != nil {
			done.Error = err.Error()
		}
		actions[definition.Name] = done
	}
	if len(actions) != len(discovered) {
		return nil, fmt.Errorf("%d actions are discovered, %d defined", len(discovered), len(actions))
	}
	return actions, nil
}
