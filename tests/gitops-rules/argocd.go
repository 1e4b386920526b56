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
	Disabled bool           `json:"disabled"`
	Result   map[string]any `json:"result"`
}

// Argo CD's gitops-engine/pkg/health.
var statuses = []string{"Unknown", "Progressing", "Suspended", "Healthy", "Degraded", "Missing"}

// Does what runLua of Argo CD 3.6 (util/lua) does without useOpenLibs: the same libraries but os, which no rule needs, and
// the same limit of time.
func runLua(object map[string]any, script string, result any) error {
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
	l.SetGlobal("actionParams", l.CreateTable(0, 0))
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
	if err := runLua(object.Object, c.HealthLua, &result); err != nil {
		return result, err
	}
	if !slices.Contains(statuses, result.Status) {
		return result, fmt.Errorf("Argo CD has no health status %q", result.Status)
	}
	return result, nil
}

func (c customization) actions(object *unstructured.Unstructured) (map[string]action, error) {
	discovered := map[string]struct {
		Disabled bool `json:"disabled"`
	}{}
	if err := runLua(object.Object, c.Discovery, &discovered); err != nil {
		return nil, err
	}
	actions := map[string]action{}
	for _, definition := range c.Definitions {
		found, ok := discovered[definition.Name]
		if !ok {
			return nil, fmt.Errorf("action %s is not discovered", definition.Name)
		}
		result := map[string]any{}
		if err := runLua(object.Object, definition.ActionLua, &result); err != nil {
			return nil, fmt.Errorf("action %s: %w", definition.Name, err)
		}
		actions[definition.Name] = action{Disabled: found.Disabled, Result: result}
	}
	if len(actions) != len(discovered) {
		return nil, fmt.Errorf("%d actions are discovered, %d defined", len(discovered), len(actions))
	}
	return actions, nil
}
