// Command gitops-rules reads rules and objects as JSON and prints what Argo CD and Flux make of each object.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/runtime/cel"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

type input struct {
	// By kind.
	Argo map[string]customization      `json:"argocd"`
	Flux []kustomize.CustomHealthCheck `json:"flux"`

	Objects []unstructured.Unstructured `json:"objects"`
	// What all actions are told.
	Parameters map[string]string `json:"parameters"`
}

type verdict struct {
	Argo    health            `json:"argocd"`
	Actions map[string]action `json:"actions"`
	Flux    string            `json:"flux"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	var in input
	if err := json.NewDecoder(os.Stdin).Decode(&in); err != nil {
		return err
	}
	verdicts := []verdict{}
	for i := range in.Objects {
		v, err := judge(&in, &in.Objects[i])
		if err != nil {
			return fmt.Errorf("%s %s: %w", in.Objects[i].GetKind(), in.Objects[i].GetName(), err)
		}
		verdicts = append(verdicts, v)
	}
	return json.NewEncoder(os.Stdout).Encode(verdicts)
}

func judge(in *input, object *unstructured.Unstructured) (v verdict, err error) {
	rules, ok := in.Argo[object.GetKind()]
	if !ok {
		return v, fmt.Errorf("Argo CD has no rules for it")
	}
	if v.Argo, err = rules.health(object.DeepCopy()); err != nil {
		return v, fmt.Errorf("health: %w", err)
	}
	if v.Actions, err = rules.actions(object.DeepCopy(), in.Parameters); err != nil {
		return v, fmt.Errorf("actions: %w", err)
	}
	for _, check := range in.Flux {
		if check.APIVersion != object.GetAPIVersion() || check.Kind != object.GetKind() {
			continue
		}
		evaluator, err := cel.NewStatusEvaluator(&check.HealthCheckExpressions)
		if err != nil {
			return v, err
		}
		result, err := evaluator.Evaluate(context.Background(), object)
		if err != nil {
			return v, err
		}
		v.Flux = result.Status.String()
	}
	return v, nil
}
