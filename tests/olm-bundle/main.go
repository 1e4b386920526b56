// Command olm-bundle judges the bundle of the Operator Lifecycle Manager in a folder as `operator-sdk bundle validate` does, and
// prints each error and each warning on a line. It fails if there is an error. (`operator-verify` of the same module prints errors
// as well, but does not fail, and reads no annotations.)
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/operator-framework/api/pkg/manifests"
	"github.com/operator-framework/api/pkg/validation"
	"github.com/operator-framework/operator-registry/pkg/lib/bundle"
	"github.com/sirupsen/logrus"
)

// All validators but those of other formats, one that has moved to another project, and one that pulls images.
var validators = validation.DefaultBundleValidators.WithValidators(
	validation.ObjectValidator,
	validation.OperatorHubV2Validator,
	validation.StandardCapabilitiesValidator,
	validation.StandardCategoriesValidator,
	validation.GoodPracticesValidator,
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: olm-bundle FOLDER")
		os.Exit(2)
	}
	folder := os.Args[1]
	valid := judgePackage(folder)
	if !judgeManifests(folder) || !valid {
		os.Exit(1)
	}
}

// Judges the annotations, and whether a bundle may hold the kinds of its objects.
func judgePackage(folder string) bool {
	log := logrus.New()
	log.SetOutput(io.Discard)
	// No registry: the bundle is here.
	validator := bundle.NewImageValidator(nil, logrus.NewEntry(log))
	valid := true
	for _, err := range []error{
		validator.ValidateBundleFormat(folder),
		validator.ValidateBundleContent(filepath.Join(folder, bundle.ManifestsDir)),
	} {
		if err == nil {
			continue
		}
		valid = false
		findings := []error{err}
		var several bundle.ValidationError
		if errors.As(err, &several) {
			findings = several.Errors
		}
		for _, finding := range findings {
			// Those of the other module begin with it.
			fmt.Println("Error:", strings.TrimPrefix(finding.Error(), "Error: "))
		}
	}
	return valid
}

// Judges the objects.
func judgeManifests(folder string) bool {
	bundle, err := manifests.GetBundleFromDir(folder)
	if err != nil {
		fmt.Println("Error:", err)
		return false
	}
	valid := true
	for _, result := range validators.Validate(bundle.ObjectsToValidate()...) {
		for _, finding := range append(result.Errors, result.Warnings...) {
			fmt.Println(finding.Error())
		}
		valid = valid && !result.HasError()
	}
	return valid
}
