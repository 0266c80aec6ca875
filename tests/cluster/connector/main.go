// Command connector is an executor written in Go: it serves flyteidl's AsyncAgentService on a Unix socket.
//
//	connector DESCRIPTORS template   write a task template, made here, to standard output
//	connector DESCRIPTORS SOCKET     serve
//
// DESCRIPTORS is a file with the FileDescriptorSet of the service. A job is a file in the folder FILE_JOBS, named after
// the attempt's key, so that a request that comes twice makes one job. What a job does, its input "how" says.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log"
	"net"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

const taskType = "go_job"

type object = map[string]any

type job struct {
	Key     string  `json:"key"`
	How     string  `json:"how"`
	Made    float64 `json:"made"`
	Deleted bool    `json:"deleted,omitempty"`
}

func now() float64 { return float64(time.Now().UnixNano()) / 1e9 }

func path(key string) string { return filepath.Join(os.Getenv("FILE_JOBS"), key+".json") }

func write(one job) error {
	data, err := json.Marshal(one)
	if err != nil {
		return err
	}
	next := path(one.Key) + ".next"
	if err := os.WriteFile(next, data, 0o600); err != nil {
		return err
	}
	return os.Rename(next, path(one.Key))
}

func read(key string) (job, error) {
	var one job
	data, err := os.ReadFile(path(key))
	if err != nil {
		return one, err
	}
	return one, json.Unmarshal(data, &one)
}

// request holds what is read of all requests; protobuf's JSON writes bytes in base64, as Go's does.
type request struct {
	Inputs struct {
		Literals map[string]struct {
			Scalar struct{ Primitive struct{ StringValue string } }
		}
	}
	TaskExecutionMetadata struct{ Labels map[string]string }
	ResourceMeta          []byte
}

func createTask(asked request) (any, error) {
	how := asked.Inputs.Literals["how"].Scalar.Primitive.StringValue
	if how == "refuse" {
		return nil, status.Error(codes.InvalidArgument, "such a job is never made")
	}
	key := asked.TaskExecutionMetadata.Labels["airscrew.dev/key"]
	if _, err := read(key); errors.Is(err, fs.ErrNotExist) {
		if err := write(job{Key: key, How: how, Made: now()}); err != nil {
			return nil, err
		}
	}
	return object{"resourceMeta": []byte(key)}, nil
}

func getTask(asked request) (any, error) {
	one, err := read(string(asked.ResourceMeta))
	if err != nil {
		return nil, err
	}
	return object{"resource": stand(one)}, nil
}

func stand(one job) object {
	switch {
	case one.Deleted:
		return object{"phase": "ABORTED", "message": "deleted"}
	case one.How == "endless" || now() < one.Made+0.5:
		return object{"phase": "RUNNING", "message": "at work"}
	case one.How == "fail":
		return object{"phase": "FAILED", "message": "the user's fault"}
	}
	answer := object{"scalar": object{"primitive": object{"stringValue": "from Go"}}}
	return object{"phase": "SUCCEEDED", "outputs": object{"literals": object{"answer": answer}}}
}

func deleteTask(asked request) (any, error) {
	one, err := read(string(asked.ResourceMeta))
	if errors.Is(err, fs.ErrNotExist) {
		return object{}, nil
	}
	if err != nil {
		return nil, err
	}
	one.Deleted = true
	return object{}, write(one)
}

func listAgents(request) (any, error) {
	categories := []object{{"name": taskType}}
	return object{"agents": []object{{"name": "Go Connector", "supportedTaskCategories": categories}}}, nil
}

func template() object {
	text := object{"type": object{"simple": "STRING"}}
	return object{
		"id":       object{"resourceType": "TASK", "name": "made.in.go", "version": "v1"},
		"type":     taskType,
		"metadata": object{"runtime": object{"version": "1", "flavor": "go"}},
		"interface": object{
			"inputs":  object{"variables": object{"how": text}},
			"outputs": object{"variables": object{"answer": text}},
		},
	}
}

// fill makes a message of a kind from what is to be said.
func fill(kind protoreflect.MessageDescriptor, said any) (proto.Message, error) {
	data, err := json.Marshal(said)
	if err != nil {
		return nil, err
	}
	message := dynamicpb.NewMessage(kind)
	return message, protojson.Unmarshal(data, message)
}

func method(kind protoreflect.MethodDescriptor, answer func(request) (any, error)) grpc.MethodDesc {
	handle := func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		message := dynamicpb.NewMessage(kind.Input())
		if err := decode(message); err != nil {
			return nil, err
		}
		data, err := protojson.Marshal(message)
		if err != nil {
			return nil, err
		}
		var asked request
		if err := json.Unmarshal(data, &asked); err != nil {
			return nil, err
		}
		said, err := answer(asked)
		if err != nil {
			if _, ok := status.FromError(err); ok {
				return nil, err
			}
			return nil, status.Error(codes.Internal, err.Error())
		}
		return fill(kind.Output(), said)
	}
	return grpc.MethodDesc{MethodName: string(kind.Name()), Handler: handle}
}

func describe(file string) *protoregistry.Files {
	data, err := os.ReadFile(file)
	if err != nil {
		log.Fatal(err)
	}
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(data, &set); err != nil {
		log.Fatal(err)
	}
	files, err := protodesc.NewFiles(&set)
	if err != nil {
		log.Fatal(err)
	}
	return files
}

func find[T protoreflect.Descriptor](files *protoregistry.Files, name protoreflect.FullName) T {
	found, err := files.FindDescriptorByName(name)
	if err != nil {
		log.Fatal(err)
	}
	return found.(T)
}

func serve(files *protoregistry.Files, socket string) {
	answers := map[protoreflect.FullName]map[protoreflect.Name]func(request) (any, error){
		"flyteidl.service.AsyncAgentService":    {"CreateTask": createTask, "GetTask": getTask, "DeleteTask": deleteTask},
		"flyteidl.service.AgentMetadataService": {"ListAgents": listAgents},
	}
	server := grpc.NewServer()
	for name, methods := range answers {
		service := find[protoreflect.ServiceDescriptor](files, name)
		made := grpc.ServiceDesc{ServiceName: string(name), HandlerType: (*any)(nil)}
		for each, answer := range methods {
			made.Methods = append(made.Methods, method(service.Methods().ByName(each), answer))
		}
		server.RegisterService(&made, struct{}{})
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(server.Serve(listener))
}

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: connector DESCRIPTORS template | connector DESCRIPTORS SOCKET")
	}
	files := describe(os.Args[1])
	if os.Args[2] != "template" {
		serve(files, os.Args[2])
		return
	}
	message, err := fill(find[protoreflect.MessageDescriptor](files, "flyteidl.core.TaskTemplate"), template())
	if err != nil {
		log.Fatal(err)
	}
	data, err := proto.Marshal(message)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := os.Stdout.Write(data); err != nil {
		log.Fatal(err)
	}
}
